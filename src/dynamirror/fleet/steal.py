"""How a worker with too few shards gets some from those that live.

Of a worker with heartbeats it asks for them (fleet/handoff); one that does not answer in time loses what it was asked
for. Of others, Java workers among them, it takes one at a time, which they notice by themselves.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.outlook import Outlook
from dynamirror.model.balance import asks, steal
from dynamirror.model.lease import Lease, Predecessor, Taken
from dynamirror.model.permit import NEVER
from dynamirror.ports import Clock, LeaseStore

# So long an answer that comes late is known for one.
REMEMBERED_S = 600.0
STEAL_EVERY_S = 10.0

log = logging.getLogger("dynamirror.leases")


@dataclass(slots=True)
class _Asked:
    owner: str
    at_s: float
    # When a heartbeat that says so, and that was answered, had been sent.
    told_at_s: float | None = None


class Thief:
    """What this worker asks of others, and since when."""

    def __init__(self, outlook: Outlook, heartbeat: Heartbeat | None, clock: Clock, me: str, patience_s: float) -> None:
        """`patience_s`: an owner that may still have requests on their way answers within it."""
        self._outlook = outlook
        self._heartbeat = heartbeat
        self._clock = clock
        self._me = me
        self._patience_s = patience_s
        # Shard -> owner, and since when that one can know of it.
        self._asked: dict[str, _Asked] = {}
        self._lately: dict[str, float] = {}
        self._stole_at_s = NEVER
        # When what is asked for was last thought about, on a reading just made.
        self._looked_at_s = NEVER

    @property
    def asked(self) -> frozenset[str]:
        """The shards that are asked for now."""
        return frozenset(self._asked)

    @property
    def asked_lately(self) -> frozenset[str]:
        """These, and those that may still be handed over."""
        return frozenset(self._lately)

    def ask(self, draw: Callable[[], float]) -> None:
        """Once nothing is free: what the others have too much of. Said with the next heartbeat."""
        if self._heartbeat is None:
            return
        now_s = self._clock.boottime_s()
        self._forget_what_was_asked_long_ago(now_s)
        self._looked_at_s = now_s
        wanted = asks(self._outlook.rows, self._outlook.fleet(), self._me, self._asked, draw)
        known = {shard: asked for shard, asked in self._asked.items() if wanted.get(shard) == asked.owner}
        fresh = {shard: owner for shard, owner in wanted.items() if shard not in known}
        self._asked = known | {shard: _Asked(owner, now_s) for shard, owner in fresh.items()}
        self._lately = {shard: at_s for shard, at_s in self._lately.items() if now_s - at_s < REMEMBERED_S}
        self._lately |= dict.fromkeys(wanted, now_s)
        self._heartbeat.wants = frozenset(wanted)
        if fresh:
            log.info(
                "asking %d other workers for %d shards",
                len({*fresh.values()}),
                len(fresh),
                extra={"event": "leases_asked_for", "facts": {"shards": len(fresh)}},
            )

    def blind(self) -> None:
        """No row could be read: what is asked for no more would be handed over to one that cannot see it."""
        self._forget_what_was_asked_long_ago(self._clock.boottime_s())

    def _forget_what_was_asked_long_ago(self, now_s: float) -> None:
        """By one that was frozen, or blind, too: the owner need not have had the time to answer."""
        if now_s - self._looked_at_s > self._outlook.patience.lease_duration_s:
            self.ask_nothing()

    def ask_nothing(self) -> None:
        """Something is free, or this worker stops."""
        self._asked = {}
        if self._heartbeat is not None:
            self._heartbeat.wants = frozenset()

    def unanswered(self) -> list[Lease]:
        """What is taken now from those that were asked for so long."""
        if self._heartbeat is None:
            return []
        late = {}
        for shard, asked in self._asked.items():
            if asked.told_at_s is None and self._heartbeat.beaten_at_s > asked.at_s:
                asked.told_at_s = self._heartbeat.beaten_at_s
            if asked.told_at_s is not None and self._clock.boottime_s() - asked.told_at_s > self._patience_s:
                late[shard] = asked.owner
        return [row for row in self._outlook.rows if late.get(row.shard_id) == row.owner and not row.finished]

    def unasked(self, draw: Callable[[], float]) -> list[Lease]:
        """What is taken now from one that cannot be asked; one lease, and not often, since that one loses its work."""
        now_s = self._clock.boottime_s()
        if now_s - self._stole_at_s < STEAL_EVERY_S:
            return []
        row = steal(self._outlook.rows, self._outlook.fleet(), self._me, draw)
        if row is None:
            return []
        self._stole_at_s = now_s
        return [row]

    def handed_over(self) -> list[Lease]:
        """Rows that were made this worker's by those it asked, as last seen; some may have been begun already."""
        return [
            row
            for row in self._outlook.rows
            if row.owner == self._me and not row.finished and (row.handed_over or row.shard_id in self._lately)
        ]


async def received(store: LeaseStore, shard_id: str, me: str) -> Taken | None:
    """A lease that was handed over, as it is now; None: it is not, or not any more. Raises Retry."""
    row = await store.get(shard_id)
    if row is None or row.owner != me or row.finished:
        return None
    left_by = Predecessor.NOBODY if row.handed_over else Predecessor.DYNAMIRROR
    left_by = Predecessor.UNKNOWN if row.unsettled else left_by
    log.info(
        "lease of %s received at %s",
        shard_id,
        row.checkpoint,
        extra={"event": "lease_received", "facts": {"shard": shard_id, "left_by": left_by.value}},
    )
    # Nobody knows when it was written, so nothing is sent before the counter was moved.
    return Taken(row, left_by, NEVER)
