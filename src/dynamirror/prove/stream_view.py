"""Stream and leases as somebody sees them who has no part in the task; reads only, and sparingly."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dynamirror.errors import Gap, IteratorExpired, ShardGone, Trimmed
from dynamirror.model.cutover import View
from dynamirror.model.lag_trail import Trail
from dynamirror.model.lease import SENTINELS, TRIM_HORIZON, Lease
from dynamirror.model.shard_graph import Listing
from dynamirror.ports import ChangeStream, Clock, LeaseStore

RECORDS_MAX = 1000
# Empty pages at one look; the next look goes on behind them.
EMPTY_PAGES_MAX = 2
EMPTY_PAUSE_S = 0.2
SHARDS_AT_ONCE = 8


class ServiceClock:
    """The service's clock, carried on since its last answer. Otherwise: 1 a page is read; 2 nothing is read while it
    waits, so no answer comes, and time stands still; 3 the lag of a worker that does nothing stays small."""

    def __init__(self, served_s: Callable[[], float], boottime_s: Callable[[], float]) -> None:
        """`served_s`: as of the last answer, in whole seconds; 0: it has not said."""
        self._served_s = served_s
        self._boottime_s = boottime_s
        self._answered = 0.0
        self._answered_at_s = 0.0

    def __call__(self) -> float:
        """Now; 0: not known."""
        served_s, now_s = self._served_s(), self._boottime_s()
        if served_s != self._answered:
            self._answered, self._answered_at_s = served_s, now_s
        return served_s + now_s - self._answered_at_s if served_s else 0.0


@dataclass(frozen=True, slots=True)
class ViewTools:
    """What is looked at. `served_s`: the service's clock, now; 0: not known."""

    stream: ChangeStream
    leases: LeaseStore
    clock: Clock
    served_s: Callable[[], float]

    def now_s(self) -> float:
        """Seconds since the epoch, the service's where they are known."""
        return self.served_s() or self.clock.wall_s()

    async def view(self, listing: Listing | None = None) -> View:
        """The leases, beside a listing that was taken before them, or now. Raises Retry, Stop."""
        listing = listing or await self.stream.list_shards()
        rows = await self.leases.scan(consistent=True)
        return View(listing, {row.shard_id: row for row in rows}, tuple(self.leases.unreadable))


@dataclass(slots=True)
class _Reader:
    trail: Trail
    position: str
    iterator: str | None = None


class LagWatch:
    """One reader a shard that is not finished, from its checkpoint on; no page while the last one is not passed."""

    def __init__(self, tools: ViewTools) -> None:
        self._tools = tools
        self._readers: dict[str, _Reader] = {}

    @property
    def waits(self) -> bool:
        """A change is known to wait, whatever the clocks say of how long."""
        return any(reader.trail.waits_for is not None for reader in self._readers.values())

    async def look(self, leases: Mapping[str, Lease]) -> float:
        """Seconds that the oldest change behind a checkpoint waits; 0: nothing came behind any. Raises Retry, Gap."""
        unfinished = {row.shard_id: row for row in leases.values() if not row.finished}
        self._readers = {shard: reader for shard, reader in self._readers.items() if shard in unfinished}
        rows = list(unfinished.values())
        for start in range(0, len(rows), SHARDS_AT_ONCE):
            await asyncio.gather(*map(self._follow, rows[start : start + SHARDS_AT_ONCE]))
        now_s = self._tools.now_s()
        return max((reader.trail.lag_s(now_s) for reader in self._readers.values()), default=0.0)

    async def _follow(self, row: Lease) -> None:
        place = TRIM_HORIZON if row.behind_gap else row.checkpoint
        reader = self._readers.setdefault(row.shard_id, _Reader(Trail(), place))
        reader.trail.passed(place)
        if reader.trail.waits_for is None:
            if _beyond(place, reader.position):
                reader.position, reader.iterator = place, None
            await self._read(row.shard_id, reader)

    async def _read(self, shard_id: str, reader: _Reader) -> None:
        stream = self._tools.stream
        for _ in range(EMPTY_PAGES_MAX):
            try:
                if reader.iterator is None:
                    reader.iterator = await stream.iterator_at(shard_id, reader.position)
                asked_s = self._tools.now_s()
                page = await stream.read(reader.iterator, RECORDS_MAX)
            except IteratorExpired:
                reader.iterator = None
                continue
            except (Trimmed, ShardGone) as error:
                reader.iterator = None
                if reader.position == TRIM_HORIZON and isinstance(error, Trimmed):
                    # DynamoDB Local does so with young empty shards; nothing was read, so nothing was lost.
                    continue
                raise Gap(
                    f"gap in the stream: the place of {shard_id} after {reader.position} is no longer there; changes "
                    "may be missing at the destination: verify --repair, or start the task anew"
                ) from error
            reader.trail.read(page, asked_s)
            # The end of a closed shard is read once; its worker has to say that it is finished.
            reader.iterator = page.next_iterator or reader.iterator
            if page.records:
                reader.position = page.records[-1].change.sequence_number
                if page.next_iterator is None:
                    reader.iterator = None
                return
            if page.next_iterator is None:
                return
            await self._tools.clock.sleep(EMPTY_PAUSE_S)


def _beyond(checkpoint: str, position: str) -> bool:
    """Whether the checkpoint is a later place than the one read up to."""
    if checkpoint in SENTINELS:
        return False
    return position in SENTINELS or int(checkpoint) > int(position)
