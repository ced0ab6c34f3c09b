"""A limit is of the whole fleet: each worker says once a second what it uses, and reckons its share of what all say.

Nobody divides for the others, so nobody's death stops it. For a second after somebody came or went the shares may add
up to more or less than the limit.
"""

import logging
from functools import partial

from dynamirror.errors import Retry
from dynamirror.loops.leftovers import Leftovers
from dynamirror.loops.rate import Rate
from dynamirror.model.duty import ClaimWatch
from dynamirror.model.lane import Lane
from dynamirror.model.permit import NEVER
from dynamirror.model.shares import Demand, RateRow, shares
from dynamirror.ports import Clock
from dynamirror.state_ports import RateStore, StateStore

EVERY_S = 1.0
# A row that stood still for so long is a dead worker's; after the longer time anybody removes it.
SILENCE_S = 5.0
GONE_S = 60.0
# Where that is not allowed.
REMOVE_AGAIN_S = 60.0

log = logging.getLogger("dynamirror.rate")


class Shares:
    """`run` until cancelled; then `retire`."""

    def __init__(self, store: RateStore, state: StateStore, clock: Clock, rate: Rate, worker: str) -> None:
        self._store = store
        self._state = state
        self._clock = clock
        self._rate = rate
        self._worker = worker
        # 0: this worker says nothing now.
        self._counter = 0
        # Its row may be there.
        self._stands = False
        self._leftovers = Leftovers(log, "rows of what workers used of a limit")
        self._refused_at_s = NEVER
        self._watch = ClaimWatch(SILENCE_S)
        self._failing = False
        self._retired = False

    async def run(self) -> None:
        """Until cancelled. While the rows are out of reach the last share holds."""
        while not self._retired:
            try:
                await self._turn()
                self._failing = False
            except Retry as error:
                if not self._failing:
                    log.warning(
                        "the other workers' rates are not known now, this worker's share stays as it is: %s",
                        error,
                        extra={"event": "shares_unknown", "facts": {}},
                    )
                self._failing = True
            await self._clock.sleep(EVERY_S)

    async def retire(self) -> None:
        """Remove this worker's row, if there is one. Raises Retry, Stop."""
        self._retired = True
        await self._forget()

    async def _turn(self) -> None:
        """Where there is no limit nothing is said; one may be ordered later (fleet/orders)."""
        if self._rate.limited:
            await self._look()
        else:
            await self._forget()

    async def _forget(self) -> None:
        self._counter = 0
        if self._stands:
            self._stands = not await self._removed(self._worker)

    async def _removed(self, worker: str) -> bool:
        """False: that is not allowed, or was not a moment ago."""
        now_s = self._clock.boottime_s()
        if now_s - self._refused_at_s < REMOVE_AGAIN_S:
            return False
        allowed = await self._leftovers.removed(partial(self._store.remove, worker))
        self._refused_at_s = NEVER if allowed else now_s
        return allowed

    async def _look(self) -> None:
        if not self._counter:
            # Whoever has not used anything yet wants an equal part; the others learn of it before it is taken.
            await self._begin()
        now_s = self._clock.boottime_s()
        self._counter += 1
        mine = RateRow(self._worker, self._counter, self._rate.read.demand(now_s), self._rate.write.demand(now_s))
        self._stands = True
        await self._store.put(mine)
        rows = await self._living()
        if self._counter > 1:
            self._divide(self._rate.read, {row.worker: row.read for row in rows} | {self._worker: mine.read})
            self._divide(self._rate.write, {row.worker: row.write for row in rows} | {self._worker: mine.write})

    async def _begin(self) -> None:
        workers = {*await self._state.beats(), self._worker}
        for lane in (self._rate.read, self._rate.write):
            if lane.total_s is not None:
                lane.share(lane.total_s / len(workers), self._clock.boottime_s())

    async def _living(self) -> list[RateRow]:
        asked_at_s = self._clock.boottime_s()
        rows = await self._store.rows()
        others = [row for row in rows if row.worker != self._worker]
        self._watch.see({row.worker: row.counter for row in others}, asked_at_s, self._clock.boottime_s())
        living = []
        for row in others:
            ended_at_s = self._watch.ended_at_s(row.worker)
            if ended_at_s is None:
                living.append(row)
            elif asked_at_s - ended_at_s > GONE_S:
                # Alive after all, it writes the row again within a second.
                await self._removed(row.worker)
        return living

    def _divide(self, lane: Lane, demands: dict[str, Demand]) -> None:
        if lane.total_s is not None:
            lane.share(shares(demands, lane.total_s)[self._worker], self._clock.boottime_s())
