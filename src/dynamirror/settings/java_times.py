"""The times that follow from the fail-over time F of the Java workers beside us (--java-failover-time).

A KCL worker renews its rows every F/3, begins no batch when its last renewal is older than F, and takes a row whose
counter has stood still for longer than F, in scans that are 2 F apart. So its silence is borne for F and a guard, in
which the last batch that it may have begun comes to its end; and our own counter must move, and our own sending end,
within F. At the Java tool's 60 s all of this is as the groups' defaults say.
"""

from dataclasses import replace

from dynamirror.settings.groups import LeaseSettings, WriteSettings

# A third of F, 20 s at the Java tool's 60 s; at the least so much.
GUARD_S_MIN = 1.0
# Of F between two renewals, at the most.
RENEW_SHARE = 0.35


def java_guard_s(failover_s: float) -> float:
    """How much longer than its fail-over time a Java owner is given."""
    return max(failover_s / 3, GUARD_S_MIN)


def write_for_java(write: WriteSettings, failover_s: float) -> WriteSettings:
    """An attempt must be over before a Java worker may take the lease: it is given a third of F at the most."""
    return replace(write, attempt_timeout_s=min(write.attempt_timeout_s, failover_s / 3))


def lease_for_java(lease: LeaseSettings, write: WriteSettings, failover_s: float) -> LeaseSettings:
    """`write` as `write_for_java` gives it. Two renewals fit in while sending is still allowed (settings/bounds)."""
    patience_s = failover_s + java_guard_s(failover_s)
    return replace(
        lease,
        java_failover_s=failover_s,
        java_patience_s=patience_s,
        renew_s=min(lease.renew_s, failover_s * RENEW_SHARE, (failover_s - write.margin_s) / 2),
        # A dead Java worker is found out by scans only.
        scan_s=min(lease.scan_s, patience_s / 8),
    )
