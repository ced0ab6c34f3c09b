"""One page of the copy to the destination, within its life (R-4).

A page may be sent until D after its reading was begun. Changes are held for H > D + T + L, so whatever of it is still
on its way then lands before any change that was made after the reading. Nothing is reconciled here but what left late.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from dynamirror.copy.tools import CopyTools
from dynamirror.errors import ItemRefused, Retry, Throttled
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.model.backoff import Backoff
from dynamirror.model.change import Write, put_of
from dynamirror.model.key import Key
from dynamirror.ports import ScanPage

BATCH_WRITES_MAX = 25
BATCH_BYTES_MAX = 4 * 1024 * 1024
RETRY = Backoff(first_s=0.05, most_s=2.0)


class PageLife:
    """How much longer a page may be sent. Of boot time and wall clock the one counts by which more time has passed:
    the boot time of a paused virtual machine stands still."""

    def __init__(self, boottime_s: Callable[[], float], wall_s: Callable[[], float], life_s: float) -> None:
        """Begins now: before the lease of the segment is proven, which is before the page is read (A-8b)."""
        self._boottime_s = boottime_s
        self._wall_s = wall_s
        self._boot_end_s = boottime_s() + life_s
        self._wall_end_s = wall_s() + life_s

    @property
    def left_s(self) -> float:
        """Negative: it is over."""
        return min(self._boot_end_s - self._boottime_s(), self._wall_end_s - self._wall_s())


@dataclass(slots=True)
class PageOutcome:
    """What became of the items of a page, by their place in it."""

    # Written or parked.
    durable: list[bool] = field(default_factory=list)
    parked: set[Key] = field(default_factory=set)
    # May have left after the page's life: their items are to be reconciled, and read again.
    late: list[Write] = field(default_factory=list)
    writes: Sequence[Write] = ()
    throttled: bool = False

    @property
    def written(self) -> list[Write]:
        """What stands at the destination."""
        done = zip(self.writes, self.durable, strict=True)
        return [write for write, there in done if there and write.key not in self.parked]

    def parked_of(self, prefix: int) -> int:
        """How many of the first items are parked."""
        return sum(write.key in self.parked for write in self.writes[:prefix]) if self.parked else 0

    @property
    def prefix(self) -> int:
        """How many items, from the first on, are durable."""
        return next((place for place, there in enumerate(self.durable) if not there), len(self.durable))


class PageSender:
    """Shared by all segments of a worker, whose requests in flight it bounds."""

    def __init__(self, tools: CopyTools) -> None:
        self._tools = tools
        self._gate = asyncio.Semaphore(tools.settings.copy.requests_in_flight_max)
        # Its own: what the other sides answer says nothing about the destination's credentials.
        self._credentials = CredentialsPatience(tools.clock)

    async def send(self, page: ScanPage, life: PageLife) -> PageOutcome:
        """Send until all is durable, or the page's life is over; what is refused is parked. Raises Stop."""
        writes = [put_of(item, self._tools.codec.of(item)) for item in page.items]
        outcome = PageOutcome([False] * len(writes), writes=writes)
        async with asyncio.TaskGroup() as group:
            for first, batch in _batches(writes):
                group.create_task(self._carry(batch, first, life, outcome))
        return outcome

    async def _carry(self, batch: Sequence[Write], first: int, life: PageLife, outcome: PageOutcome) -> None:
        """One batch, until it is durable or the life is over."""
        places = {write.key: first + place for place, write in enumerate(batch)}
        left: Sequence[Write] = batch
        attempt = 0
        while left:
            async with self._gate:
                if life.left_s <= 0:
                    return
                unwritten = await self._attempt(left, life, outcome)
            for write in left:
                outcome.durable[places[write.key]] = True
            for write in unwritten:
                outcome.durable[places[write.key]] = False
            left = unwritten
            if left:
                await self._tools.clock.sleep(RETRY.delay_s(attempt, self._tools.random))
                attempt += 1

    async def _attempt(self, writes: Sequence[Write], life: PageLife, outcome: PageOutcome) -> Sequence[Write]:
        """What is not known to be written. One that was not answered is sent again: the same image of the same page."""
        if life.left_s <= 0:
            # The first part of a refused batch took its time.
            return writes
        try:
            left = await self._answered(writes, life, outcome)
        except ItemRefused as error:
            return await self._refused(writes, error, life, outcome)
        except Retry as error:
            self._credentials.failed(error)
            if isinstance(error, Throttled):
                self._throttled(outcome)
            return writes
        self._credentials.answered()
        if left:
            self._throttled(outcome)
        return left

    async def _refused(
        self, writes: Sequence[Write], error: ItemRefused, life: PageLife, outcome: PageOutcome
    ) -> Sequence[Write]:
        """Halved until it is one item, which is parked, however long that takes: a row brings nothing over anything."""
        if len(writes) == 1:
            await self._tools.park(writes[0], error)
            outcome.parked.add(writes[0].key)
            return ()
        half = len(writes) // 2
        return [
            *await self._attempt(writes[:half], life, outcome),
            *await self._attempt(writes[half:], life, outcome),
        ]

    async def _answered(self, writes: Sequence[Write], life: PageLife, outcome: PageOutcome) -> Sequence[Write]:
        """The destination's answer; what may have left late is noted.

        1 the life is looked at; 2 the process is frozen; 3 a change is applied, its hold is over; 4 the process thaws
        and sends. Only the clock afterwards shows it (A-8).
        """
        refused = False
        try:
            return await self._tools.destination.write(writes)
        except ItemRefused:
            # Nothing of it was written; its parts are looked at by themselves.
            refused = True
            raise
        finally:
            write = self._tools.settings.write
            if not refused and life.left_s + write.attempt_timeout_s + write.clock_drift_s < 0:
                outcome.late += writes
                # Not with the outcome, which there will not be when another batch ends the worker meanwhile.
                self._tools.note_late(writes)

    def _throttled(self, outcome: PageOutcome) -> None:
        """A page slows the copy once: its further attempts may be for one item, in a partition that others use."""
        self._tools.metrics.count("write_throttles")
        if not outcome.throttled:
            outcome.throttled = True
            self._tools.rate.throttled_writing()


def _batches(writes: Sequence[Write]) -> Iterator[tuple[int, Sequence[Write]]]:
    """The place of the first write, and the writes, of each batch."""
    first = size = 0
    for place, write in enumerate(writes):
        if place > first and (place - first == BATCH_WRITES_MAX or size + len(write.request) > BATCH_BYTES_MAX):
            yield first, writes[first:place]
            first, size = place, 0
        size += len(write.request)
    if writes:
        yield first, writes[first:]
