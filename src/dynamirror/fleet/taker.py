"""What follows from each look at the others (KCL: LeaseTaker): begin what was handed over, take what is free, ask for
more, steal where nobody can be asked, give what others ask for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from dynamirror.fleet.handoff import Giver
from dynamirror.fleet.outlook import Outlook
from dynamirror.fleet.steal import Thief, received
from dynamirror.fleet.tenure import Tenure, TenureTools
from dynamirror.loops.rows import each_row
from dynamirror.model.balance import stuck_ends
from dynamirror.model.lease import Lease, Taken
from dynamirror.model.lease_plan import takes


class Taker:
    """`tenures`: what is held, by shard. `start` begins the tenure of what is got. `giver` None: nobody can ask."""

    def __init__(
        self,
        tools: TenureTools,
        outlook: Outlook,
        thief: Thief,
        giver: Giver | None,
        tenures: Mapping[str, Tenure],
        start: Callable[[Taken], None],
    ) -> None:
        self._tools = tools
        self._outlook = outlook
        self._thief = thief
        self._giver = giver
        self._tenures = tenures
        self._start = start
        self._directory = tools.directory
        self._random = tools.follow.read.random
        self._me = tools.terms.worker

    async def look(self) -> None:
        """One look at the others, and what follows from it. Raises Retry, Stop."""
        scanned = await self._outlook.look()
        if scanned is not None:
            self._directory.in_doubt.settle(scanned, self._me)
        await self._each(self._receive, self._thief.handed_over())
        rows, outlook = self._outlook.rows, self._outlook
        wanted = takes(rows, outlook.watch, outlook.patience, self._me, self._tenures.keys())
        if wanted:
            self._thief.ask_nothing()
        elif scanned is not None:
            # On a fresh reading only: what was just moved is not moved again.
            self._thief.ask(self._random)
            await self._each(
                self._steal, self._thief.unanswered() or self._stuck() or self._thief.unasked(self._random)
            )
        await self._each(self._take, wanted)
        wanted_by_others = self._giver is not None and self._giver.consider()
        if self._thief.asked or wanted_by_others:
            # While leases move the rows are read each time.
            self._outlook.outdate()

    def _stuck(self) -> list[Lease]:
        outlook = self._outlook
        return stuck_ends(outlook.rows, outlook.fleet(), outlook.watch, self._directory.is_closed)

    async def _each(self, step: Callable[[Lease], Awaitable[None]], rows: Sequence[Lease]) -> None:
        rows = [row for row in rows if row.shard_id not in self._tenures]
        if rows:
            # What is taken here must not look free in the next pass, also when a take fails.
            self._outlook.outdate()
        await each_row(step, rows, self._tools.follow.clock)

    async def _take(self, row: Lease) -> None:
        for lease in await self._directory.taken(row, self._tools.terms):
            self._start(lease)

    async def _steal(self, row: Lease) -> None:
        for lease in await self._directory.taken(row, self._tools.terms):
            self._start(replace(lease, stolen=True))

    async def _receive(self, row: Lease) -> None:
        if row.shard_id in self._directory.in_doubt and not row.handed_over:
            # By a take of its own, whose answer was lost; nobody knows from whom.
            return
        taken = await received(self._tools.leases.store, row.shard_id, self._me)
        if taken is not None:
            self._start(taken)
