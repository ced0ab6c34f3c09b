"""The inequalities between times without which order is not kept; checked before anything is started.

From the model-checked protocol (docs/decisions/0008-order-under-faults.md). The times are settings, so a library user,
or a later change of a default, could turn one round; the program then refuses to start.
"""

from dynamirror.errors import Refused
from dynamirror.model.permit import Fence
from dynamirror.settings.groups import CopySettings, LeaseSettings, ReplicationSettings, WriteSettings
from dynamirror.settings.java_times import java_guard_s

# A dead Java owner's last request: the service refuses a signature that is older (AWS: "Signature expired").
SIGNATURE_LIFE_S = 300.0


def fence_of(lease: LeaseSettings, write: WriteSettings, heartbeat: bool) -> Fence:
    """How long each sign of ownership allows sending: always a margin less than others wait for it.

    A worker with heartbeats is judged by its row only by those who do not see them: Java, after its fail-over time.
    Without heartbeats by everybody, and by the most impatient one first.
    """
    if heartbeat:
        return Fence(lease.proof_s, lease.java_failover_s - write.margin_s, lease.duration_s - write.margin_s)
    return Fence(lease.proof_s, min(lease.duration_s, lease.java_failover_s) - write.margin_s, None)


def page_settled_s(copy: CopySettings, write: WriteSettings) -> float:
    """D + T + L: nothing of a page whose reading was begun so long ago is still on its way."""
    return copy.page_life_s + write.settle_s


def least_hold_s(copy: CopySettings, write: WriteSettings) -> float:
    """Changes must wait for longer, at every worker, while one with these settings copies."""
    return page_settled_s(copy, write) + write.clock_drift_s


def refuse_unsound(settings: ReplicationSettings) -> None:
    """Raises Refused when times are set so that an older image could end up over a newer one, or nothing is sent."""
    lease, write = settings.lease, settings.write
    demand(write.stray_life_s >= 0, "the stray life must not be negative")
    demand(write.attempt_timeout_s > 0, "the time-out of an attempt must be positive")
    demand(write.clock_drift_s > 0, "the clock drift must be positive")
    demand(
        lease.duration_s - write.margin_s >= 2 * max(lease.heartbeat_s, lease.proof_s),
        f"the lease duration of {lease.duration_s:g} s leaves no room: sending stops {write.margin_s:g} s before its "
        f"end (time-out of an attempt + drift), and two heartbeats ({lease.heartbeat_s:g} s) and proofs "
        f"({lease.proof_s:g} s) must fit in before",
    )
    demand(
        lease.java_failover_s - write.margin_s >= 2 * lease.renew_s,
        f"rows are renewed every {lease.renew_s:g} s, too rarely for Java's fail-over time of "
        f"{lease.java_failover_s:g} s: sending stops {write.margin_s:g} s before its end (time-out of an attempt + "
        "drift), and two renewals must fit in before",
    )
    given_s = lease.java_failover_s + java_guard_s(lease.java_failover_s)
    demand(
        lease.java_patience_s >= given_s,
        f"a Java owner must be given {given_s:g} s (its fail-over time of {lease.java_failover_s:g} s and a third "
        f"of it, at least a second), not {lease.java_patience_s:g} s",
    )
    hold, copy = settings.hold, settings.copy
    least_s = least_hold_s(copy, write)
    demand(
        hold.hold_s > least_s,
        f"changes must wait longer than {least_s:g} s while a copy runs (life of a page + time-out + stray life + "
        f"drift), not {hold.hold_s:g} s",
    )
    demand(
        hold.known_s >= 2 * copy.watch_s,
        f"the row of the copy is read every {copy.watch_s:g} s, too rarely for a belief that lasts {hold.known_s:g} s",
    )
    demand(lease.watch_s < lease.duration_s, "heartbeats must be read more often than a lease lasts")


def demand(holds: bool, otherwise: str) -> None:
    """Raises Refused unless it holds."""
    if not holds:
        raise Refused(otherwise)
