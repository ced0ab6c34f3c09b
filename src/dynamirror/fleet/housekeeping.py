"""What one worker of a fleet does for all, after each listing: rows that nobody needs any more, shards that nobody has.

The first by name of those that live does it. Two that both believe to be the first do no harm: every write here is
conditional, or may be repeated.
"""

import logging

from dynamirror.errors import ConditionFailed
from dynamirror.fleet.outlook import Outlook
from dynamirror.fleet.shards import ShardDirectory
from dynamirror.loops.leftovers import Leftovers
from dynamirror.model.lease_plan import forgotten_workers, unowned, unreadable
from dynamirror.ports import LeaseStore, MetricSink
from dynamirror.state_ports import StateStore

# Of a run: the next listing goes on.
REMOVED_AT_ONCE_MAX = 100

log = logging.getLogger("dynamirror.leases")


class Housekeeping:
    """`tidy` after each listing; nothing without `leads`."""

    def __init__(
        self,
        outlook: Outlook,
        directory: ShardDirectory,
        leases: LeaseStore,
        state: StateStore | None,
        metrics: MetricSink,
        me: str,
    ) -> None:
        self._outlook = outlook
        self._directory = directory
        self._leases = leases
        self._state = state
        self._metrics = metrics
        self._me = me
        self._leftovers = Leftovers(log)

    def leads(self) -> bool:
        """Whether this worker is the first of those that live; without a state table each is the first."""
        askable = self._outlook.fleet().askable
        return self._state is None or (self._me in askable and min(askable) == self._me)

    async def tidy(self) -> None:
        """Raises Retry."""
        if not self.leads():
            self._metrics.gauge("shards_unowned", 0)
            return
        self._warn()
        for step in (self._remove_rows, self._forget_workers):
            # Asked for again after the next listing.
            await self._leftovers.removed(step)

    def _warn(self) -> None:
        outlook = self._outlook
        shards, unread = unowned(outlook.rows, outlook.watch, outlook.patience), unreadable(outlook.watch)
        self._metrics.gauge("shards_unowned", len(shards) + len(unread))
        if unread:
            log.warning(
                "the lease rows of %d shards cannot be read, and nobody can take them, the first: %s; mend it (what is "
                "wrong with it: event lease_row_refused)",
                len(unread),
                unread[0],
                extra={"event": "shards_unowned", "facts": {"shards": len(unread), "first": unread[0]}},
            )
        if shards:
            log.warning(
                "nobody has taken %d shards for minutes, the first: %s; are there workers, and can they reach the "
                "lease table?",
                len(shards),
                shards[0],
                extra={"event": "shards_unowned", "facts": {"shards": len(shards), "first": shards[0]}},
            )

    async def _remove_rows(self) -> None:
        removed = 0
        for row in self._directory.removable[:REMOVED_AT_ONCE_MAX]:
            try:
                await self._leases.delete(row)
                removed += 1
            except ConditionFailed:
                # A Java worker's sync was faster, or somebody holds it.
                continue
        if removed:
            log.info(
                "%d lease rows of finished shards removed, which the stream no longer lists",
                removed,
                extra={"event": "leases_removed", "facts": {"rows": removed}},
            )

    async def _forget_workers(self) -> None:
        if self._state is None:
            return
        for worker in forgotten_workers(self._outlook.rows, self._outlook.watch):
            # Alive after all, it writes the row again within a second.
            await self._state.retire(worker)
            log.info("heartbeat row of %s removed", worker, extra={"event": "worker_forgotten", "facts": {}})
