"""One shard's way through its iterators: where to begin, when to ask again, what an error means.

Pages come in stream order, each once per iterator life; after a crash the reader begins behind the
checkpoint, so pages may come again. The end of a shard is only ever a null NextShardIterator (P-21).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from dynamirror.errors import DynamirrorError, Gap, IteratorExpired, Retry, ShardGone, ShardLost, Throttled, Trimmed
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.turns import Turns
from dynamirror.model.backoff import Backoff
from dynamirror.model.change import Page
from dynamirror.model.emptiness import Emptiness
from dynamirror.model.health import Doing, Reading
from dynamirror.model.lag_trail import at_tip
from dynamirror.model.lease import LATEST, TRIM_HORIZON
from dynamirror.model.reading_size import ReadingSize
from dynamirror.model.shard_graph import shard_created_ms
from dynamirror.model.tip import Tip
from dynamirror.ports import ChangeStream, Clock, MetricSink
from dynamirror.settings.groups import ReadSettings

# A page at least this full, or as full as was asked for, says that more is waiting: the next follows without a pause.
FULL_PAGE_RECORDS = 200
FULL_PAGE_BYTES = 500_000
# Pause after a page with few records: ten calls a second and shard at most while traffic is light.
LIGHT_PAUSE_S = 0.1
RETRY = Backoff(first_s=0.05, most_s=5.0)
RETRY_LOG_EVERY = 10

log = logging.getLogger("dynamirror.read")


@dataclass(slots=True)
class ReadPace:
    """How long to wait before the next read: not while records flow, longer and longer while none come."""

    idle_max_s: float
    idle_s: float = 0.0

    def after(self, page: Page, asked: int, closed: bool) -> float:
        """Seconds to wait after `page`, for which so many records were asked for.

        An empty page of a closed shard proves nothing: ask again at once.
        """
        if page.records:
            self.idle_s = 0.0
            return 0.0 if _is_full(page, asked) or closed else min(LIGHT_PAUSE_S, self.idle_max_s)
        if closed:
            return 0.0
        self.idle_s = min(self.idle_max_s, max(LIGHT_PAUSE_S, self.idle_s * 2))
        return self.idle_s


def _is_full(page: Page, asked: int) -> bool:
    """Whether more is waiting behind the page."""
    return len(page.records) >= min(FULL_PAGE_RECORDS, asked) or page.size_bytes >= FULL_PAGE_BYTES


@dataclass(frozen=True, slots=True)
class ReadTools:
    """What all readers of a worker share. `turns` bounds the pages being fetched at the same time."""

    stream: ChangeStream
    clock: Clock
    random: Callable[[], float]
    settings: ReadSettings
    turns: Turns
    metrics: MetricSink
    # The service's clock as of its last answer; 0: not known. None: never is.
    served_s: Callable[[], float] | None = None

    def now_s(self) -> float:
        """Seconds since the epoch: the service's, where they are known, for what it keeps by its own clock."""
        return (self.served_s() if self.served_s is not None else 0.0) or self.clock.wall_s()


class ShardReader:
    """Reads one shard from a checkpoint to its end."""

    def __init__(
        self,
        tools: ReadTools,
        shard_id: str,
        checkpoint: str,
        since_ms: int | None = None,
        size: ReadingSize | None = None,
    ) -> None:
        """`since_ms`: from when on changes are wanted, where the checkpoint is no number; None: not known. `size`: of
        another reader of the shard; None: nobody knows yet what comes through."""
        self.shard_id = shard_id
        self.size = size or ReadingSize(tools.settings.batch_size)
        # The listing says that the shard has ended; set by whoever lists.
        self.closed = False
        # An iterator was got; nothing older than LATEST, as it was then, will be read.
        self.opened = self.at_latest = False
        self.reading = Reading(at_s=tools.clock.boottime_s())
        self._tools = tools
        self._emptiness = Emptiness()
        self._tip = Tip()
        self._asked = self.size.present
        self._since_ms = since_ms
        self._position = checkpoint
        self._iterator: str | None = None
        self._fresh_tried = False
        self._credentials = CredentialsPatience(tools.clock)

    @property
    def position(self) -> str:
        """The checkpoint, or the last change that was read."""
        return self._position

    @property
    def empty_until_ms(self) -> int | None:
        """Until when nothing came behind `position`, in ms since the epoch; None: not proven, however many empty pages
        there were."""
        return self._emptiness.until_ms

    @property
    def all_until_ms(self) -> int | None:
        """Until when all that came is read, as `empty_until_ms`, for operators; None: more may have come."""
        return self._tip.until_ms

    def read_to_s(self, page: Page) -> float:
        """Up to when the page has all that came, seconds since the epoch, for operators: when it was served, unless it
        is so full that more was waiting. A change's own stamp may be rounded."""
        if page.served_s and not _is_full(page, self._asked):
            return page.served_s
        return page.records[-1].change.created_s

    async def pages(self, room: Callable[[], asyncio.Future[None] | None]) -> AsyncGenerator[Page, None]:
        """Every page to the shard's end; waits for `room` (None: there is room) before each read.

        Raises Gap when changes were trimmed unread, Stop when credentials stay expired.
        """
        pace = ReadPace(self._tools.settings.idle_poll_max_s)
        while True:
            page = await self._next_page(room)
            if page.records:
                self._position = page.records[-1].change.sequence_number
            self._iterator = page.next_iterator
            self.reading.doing = Doing.HANDING_ON
            yield page
            if page.next_iterator is None:
                return
            pause_s = pace.after(page, self._asked, self.closed)
            self.reading.doing, self.reading.at_s = Doing.PAUSING, self._tools.clock.boottime_s() + pause_s
            # An empty page of a closed shard comes back at once; yield to the others all the same.
            await self._tools.clock.sleep(pause_s)

    async def _next_page(self, room: Callable[[], asyncio.Future[None] | None]) -> Page:
        attempt = expired = 0
        while True:
            while (wait := room()) is not None:
                self.reading.doing = Doing.WAITING_FOR_ROOM
                await wait
            self.reading.doing = Doing.QUEUING
            try:
                at_once = self._tools.turns.free > 0
                await self._tools.turns.take()
                try:
                    # Many readers are woken by the same progress; those who queued here look again, else
                    # each of them would bring one more page.
                    if at_once or room() is None:
                        return await self._read()
                finally:
                    self._tools.turns.give_back()
            except IteratorExpired as error:
                # Slow readers only: the place right after the last record read is still exact.
                self._iterator = None
                if expired:
                    await self._pause(expired - 1, error)
                expired += 1
            except Trimmed as error:
                self._begin_afresh(error)
            except ShardGone as error:
                raise self.gap("the stream no longer knows the shard", ShardLost) from error
            except Retry as error:
                self._credentials.failed(error)
                if isinstance(error, Throttled):
                    self._tools.metrics.count("read_throttles")
                await self._pause(attempt, error)
                attempt += 1

    async def _read(self) -> Page:
        self.reading.doing = Doing.READING
        if self._iterator is None:
            self._iterator = await self._open()
        sent_at_ms = self._now_ms
        self._asked = self.size.present
        with self.size.reading(self._asked):
            page = await self._tools.stream.read(self._iterator, self._asked)
        self.size.succeeded(len(page.records))
        self._emptiness.read(sent_at_ms, empty=not page.records)
        self._tip.read(sent_at_ms, empty=not page.records)
        if self.empty_until_ms is not None:
            # From then on later changes only can be trimmed unread.
            self._since_ms = self.empty_until_ms
        self._fresh_tried = False
        self._credentials.answered()
        self._note(page)
        return page

    def _note(self, page: Page) -> None:
        reading, clock = self.reading, self._tools.clock
        reading.at_s, wall_s = clock.boottime_s(), clock.wall_s()
        if page.served_s:
            reading.skew_s = page.served_s - wall_s
        tip = at_tip(page, wall_s + reading.skew_s)
        reading.behind_since_s = 0.0 if tip else page.records[-1].change.created_s

    async def _open(self) -> str:
        position = self._position
        if position == LATEST:
            # LATEST means something else each time it is asked, so it is asked once. Whatever comes of it, from here on
            # only the shard's beginning is sure to contain what comes next; what is older than the start is skipped
            # by time (--start-at).
            self._position = TRIM_HORIZON
        iterator = await self._tools.stream.iterator_at(self.shard_id, position)
        # After the answer, which brings the service's time.
        if self._position == TRIM_HORIZON and position != LATEST and self._trimmed_since(self._since_ms):
            raise self.gap("nobody has read the shard for longer than the stream keeps changes")
        self._emptiness.opened()
        self._tip.opened()
        self.at_latest = position == LATEST or (self.at_latest and position != TRIM_HORIZON)
        self.opened = True
        return iterator

    def _begin_afresh(self, error: Trimmed) -> None:
        """DynamoDB Local trims iterators of young empty shards: nothing was read, so nothing was lost.

        Anything else is a gap. One fresh iterator is tried; it must answer.
        """
        since_ms = self._since_ms if self._since_ms is not None else shard_created_ms(self.shard_id)
        if self._position != TRIM_HORIZON or self._fresh_tried or self._trimmed_since(since_ms):
            raise self.gap("changes were trimmed before they were read") from error
        self._fresh_tried = True
        self._iterator = None

    def _trimmed_since(self, since_ms: int | None) -> bool:
        """Whether changes that came since may have been trimmed by now."""
        return since_ms is not None and self._now_ms - since_ms >= self._tools.stream.retention_ms

    @property
    def _now_ms(self) -> int:
        return int(self._tools.now_s() * 1000)

    def misses_latest(self, start_at_ms: int | None) -> None:
        """Reading waits: LATEST would mean something else afterwards, so where the time is known it counts instead."""
        if self._position == LATEST and start_at_ms is not None:
            self._position = TRIM_HORIZON

    def begin_behind_gap(self, noted_at_ms: int) -> None:
        """The gap was noted then: go on at the oldest record that is left."""
        self._position, self._iterator, self._since_ms = TRIM_HORIZON, None, noted_at_ms

    def gap(self, what: str, kind: type[Gap] = Gap) -> Gap:
        """The error that says so of this shard, with what to do."""
        return kind(
            f"gap in the stream: {what} (shard {self.shard_id}, read up to {self._position}); changes after that "
            f"place may be missing at the destination. Nothing was skipped: the checkpoint stays there. {Gap.ADVICE}",
            what,
            self.shard_id,
            self._position,
        )

    async def _pause(self, attempt: int, error: DynamirrorError) -> None:
        delay_s = RETRY.delay_s(attempt, self._tools.random)
        if attempt % RETRY_LOG_EVERY == 0:
            log.warning(
                "reading %s: %s; trying again",
                self.shard_id,
                error,
                extra={
                    "event": "read_retry",
                    "facts": {"shard": self.shard_id, "attempt": attempt, "delay_s": round(delay_s, 3)},
                },
            )
        await self._tools.clock.sleep(delay_s)
