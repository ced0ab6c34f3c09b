"""The keys that a stream names since some moment: what has to be looked at where little has changed.

Every shard is read from its oldest record, one page at a time; records that are older are passed over. An open shard
has no end: it is read until a record is newer than the reading's beginning, or nothing has come for a while.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from dynamirror.errors import IteratorExpired, Retry, ShardGone, Trimmed
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.model.backoff import Backoff
from dynamirror.model.change import Page
from dynamirror.model.key import Key, KeyCodec
from dynamirror.model.lease import TRIM_HORIZON
from dynamirror.model.reading_size import ReadingSize
from dynamirror.model.shard_graph import Listing
from dynamirror.ports import ChangeStream, Clock

SHARDS_AT_ONCE = 8
RECORDS_MAX = 1000
# A record's time is rounded down, to the minute on DynamoDB Local; the service's clocks are not one.
SLACK_S = 120.0
# GetRecords may answer with empty pages before records come; five calls a second for each shard.
EMPTY_PAGES_MAX = 25
EMPTY_PAUSE_S = 0.2
RETRY = Backoff(first_s=0.2, most_s=5.0)

log = logging.getLogger("dynamirror.verify")


@dataclass(frozen=True, slots=True)
class RecentKeys:
    """What names the keys. `ago_s`: since so long ago, counted from when the reading begins; `now_s`: the service's
    clock, which is asked once it has answered. By another clock, one that is late ends the reading of an open shard too
    early, and by one that is ahead nothing was changed lately."""

    stream: ChangeStream
    codec: KeyCodec
    clock: Clock
    random: Callable[[], float]
    ago_s: float
    now_s: Callable[[], float]
    # Of all shards: they come over the same path.
    size: ReadingSize = field(default_factory=lambda: ReadingSize(RECORDS_MAX))

    async def read(self, take: Callable[[Iterable[Key]], Awaitable[None]]) -> None:
        """Hand all keys to `take`, page by page, some of them several times. Raises (in a group) Stop."""
        listing = await self._listing()
        begun_s = self.now_s()
        begun_s = self.now_s()
        shards = iter(listing.shards)

        async def read_some() -> None:
            for shard in shards:
                await self._shard(shard.id, begun_s, take)

        async with asyncio.TaskGroup() as group:
            for _ in range(SHARDS_AT_ONCE):
                group.create_task(read_some())

    async def _listing(self) -> Listing:
        attempt = 0
        credentials = CredentialsPatience(self.clock)
        while True:
            try:
                return await self.stream.list_shards()
            except Retry as error:
                credentials.failed(error)
                await self._pause("listing shards", error, attempt)
                attempt += 1

    async def _shard(self, shard_id: str, begun_s: float, take: Callable[[Iterable[Key]], Awaitable[None]]) -> None:
        place, iterator, empty, attempt = TRIM_HORIZON, None, 0, 0
        credentials = CredentialsPatience(self.clock)
        while empty < EMPTY_PAGES_MAX:
            try:
                if iterator is None:
                    iterator = await self.stream.iterator_at(shard_id, place)
                page = await self._page(iterator)
            except (IteratorExpired, Trimmed) as error:
                # What is trimmed is older than any moment that may be asked for.
                place = TRIM_HORIZON if isinstance(error, Trimmed) else place
                iterator = None
                continue
            except ShardGone:
                return
            except Retry as error:
                credentials.failed(error)
                await self._pause(f"reading {shard_id}", error, attempt)
                attempt += 1
                continue
            credentials.answered()
            attempt = 0
            await take(self._keys(page, begun_s - self.ago_s - SLACK_S))
            iterator = page.next_iterator
            if iterator is None or (page.records and page.records[-1].change.created_s > begun_s):
                return
            empty = 0 if page.records else empty + 1
            if page.records:
                place = page.records[-1].change.sequence_number
            else:
                await self.clock.sleep(EMPTY_PAUSE_S)

    async def _page(self, iterator: str) -> Page:
        asked = self.size.present
        with self.size.reading(asked):
            page = await self.stream.read(iterator, asked)
        self.size.succeeded(len(page.records))
        return page

    def _keys(self, page: Page, from_s: float) -> Iterable[Key]:
        stamped = ((record.change.keys, record.change.created_s) for record in page.records)
        # 0: without a stamp, so it may be recent.
        return {self.codec.of(keys) for keys, created_s in stamped if not created_s or created_s >= from_s}

    async def _pause(self, doing: str, error: Retry, attempt: int) -> None:
        if attempt % 10 == 0:
            log.warning(
                "%s: %s; trying again", doing, error, extra={"event": "verify_retry", "facts": {"attempt": attempt}}
            )
        await self.clock.sleep(RETRY.delay_s(attempt, self.random))
