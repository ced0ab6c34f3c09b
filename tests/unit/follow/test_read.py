"""One shard's iterator life: pace, retries, expiry, trimming, end."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from msgspec import Raw

from dynamirror.errors import (
    CredentialsExpired,
    DynamirrorError,
    ExitCode,
    Gap,
    IteratorExpired,
    ShardGone,
    Side,
    Stop,
    Throttled,
    Trimmed,
    Unanswered,
    Unreachable,
)
from dynamirror.follow.read import FULL_PAGE_BYTES, FULL_PAGE_RECORDS, ReadTools, ShardReader
from dynamirror.loops.turns import Turns
from dynamirror.model.change import Page, Record, StreamRecord
from dynamirror.model.lease import LATEST, TRIM_HORIZON
from dynamirror.model.shard_graph import RETENTION_MS, Listing, Shard
from dynamirror.observe.metrics import Metrics
from dynamirror.settings.groups import ReadSettings
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

NOW_MS = 1_700_000_000_000
YOUNG = f"shardId-{NOW_MS - 3_600_000:020d}-young"
OLD = f"shardId-{NOW_MS - RETENTION_MS:020d}-old"


def page(count: int = 0, first: int = 1, end: bool = False, size_bytes: int = 100) -> Page:
    records = [
        Record("MODIFY", StreamRecord(Raw(b"{}"), str(number), Raw(b"{}"))) for number in range(first, first + count)
    ]
    return Page(records, None if end else "next", size_bytes)


class Script:
    """A stream that answers as told; notes when it was asked, and for what."""

    def __init__(self, *answers: Page | DynamirrorError, opens: Sequence[DynamirrorError] = ()) -> None:
        self.answers = list(answers)
        self.opens = list(opens)
        self.opened: list[str] = []
        self.read_at_s: list[float] = []
        self.reading = 0
        self.reading_most = 0

    retention_ms = RETENTION_MS

    async def list_shards(self) -> Listing:
        raise AssertionError("a reader lists nothing")

    async def list_children(self, parent_id: str) -> list[Shard]:
        raise AssertionError("a reader lists nothing")

    async def iterator_at(self, shard_id: str, checkpoint: str) -> str:
        self.opened.append(checkpoint)
        if self.opens:
            raise self.opens.pop(0)
        return f"{shard_id} {len(self.opened)}"

    async def read(self, iterator: str, records_max: int) -> Page:
        self.read_at_s.append(asyncio.get_running_loop().time())
        self.reading += 1
        self.reading_most = max(self.reading, self.reading_most)
        await asyncio.sleep(0.001)
        self.reading -= 1
        answer = self.answers.pop(0) if self.answers else page(end=True)
        if isinstance(answer, DynamirrorError):
            raise answer
        return answer

    @property
    def pauses_s(self) -> list[float]:
        """Between an answer and the next question."""
        return [round(b - a - 0.001, 3) for a, b in zip(self.read_at_s, self.read_at_s[1:], strict=False)]


def tools(stream: Script, clock: VirtualClock | None = None, reads_max: int = 4, batch_size: int = 1000) -> ReadTools:
    settings = ReadSettings(batch_size=batch_size, idle_poll_max_s=1.0)
    return ReadTools(stream, clock or VirtualClock(), random.Random(1).random, settings, Turns(reads_max), Metrics())


def read_all(
    stream: Script,
    shard_id: str = YOUNG,
    checkpoint: str = TRIM_HORIZON,
    closed: bool = False,
    watch_s: float = 1e6,
    batch_size: int = 1000,
) -> list[str]:
    """Sequence numbers of all records read, until the shard's end."""

    async def scenario() -> list[str]:
        reader = ShardReader(tools(stream, batch_size=batch_size), shard_id, checkpoint)
        reader.closed = closed
        found = []
        async with asyncio.timeout(watch_s):
            async for one in reader.pages(lambda: None):
                found += [record.change.sequence_number for record in one.records]
        return found

    return run_virtual(scenario())


# --- pace


def test_pauses_grow_while_nothing_comes_and_end_with_the_first_record() -> None:
    stream = Script(*[page()] * 7, page(1), page(), page())
    read_all(stream)
    assert stream.pauses_s == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 0.1, 0.1, 0.2]


@pytest.mark.parametrize("full", [page(FULL_PAGE_RECORDS), page(1, size_bytes=FULL_PAGE_BYTES)])
def test_a_full_page_is_followed_by_the_next_without_a_pause(full: Page) -> None:
    stream = Script(full, full, page(1))
    read_all(stream)
    assert stream.pauses_s == [0.0, 0.0, 0.1]


def test_a_page_as_large_as_was_asked_for_is_full() -> None:
    stream = Script(page(10), page(10, first=11), page(9, first=21))
    read_all(stream, batch_size=10)
    assert stream.pauses_s == [0.0, 0.0, 0.1]


def test_a_closed_shard_is_read_without_a_pause_empty_pages_too() -> None:
    stream = Script(page(), page(3), page(), page(), page(2, first=4))
    assert read_all(stream, closed=True) == ["1", "2", "3", "4", "5"]
    assert stream.pauses_s == [0.0] * 5


def test_nothing_is_read_while_there_is_no_room() -> None:
    async def scenario() -> None:
        stream = Script(page(1), page(1, first=2))
        full: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        assert full is not None
        asyncio.get_running_loop().call_later(50, full.set_result, None)
        reader = ShardReader(tools(stream), YOUNG, TRIM_HORIZON)
        async for _ in reader.pages(lambda: full if not full.done() else None):
            pass
        assert stream.read_at_s[0] == 50

    run_virtual(scenario())


def test_readers_that_are_woken_together_do_not_all_bring_a_page() -> None:
    """The queue's limit is exceeded by the pages being fetched at most, however many shards wait for room."""

    async def scenario() -> None:
        stream = Script(*[page(1) for _ in range(1000)])
        shared = tools(stream, reads_max=3)
        loop = asyncio.get_running_loop()
        waits: list[asyncio.Future[None]] = []
        queued = 10

        def room() -> asyncio.Future[None] | None:
            if queued < 10:
                return None
            waits.append(loop.create_future())
            return waits[-1]

        async def follow(number: int) -> None:
            nonlocal queued
            async for _ in ShardReader(shared, f"{YOUNG}{number}", TRIM_HORIZON).pages(room):
                queued += 1

        tasks = [asyncio.create_task(follow(number)) for number in range(50)]
        await asyncio.sleep(1)
        assert not stream.read_at_s
        queued = 9
        for wait in waits:
            if not wait.done():
                wait.set_result(None)
        await asyncio.sleep(1)
        assert 10 <= queued <= 9 + 3
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run_virtual(scenario())


def test_only_so_many_pages_are_fetched_at_the_same_time() -> None:
    async def scenario() -> None:
        stream = Script(*[page(1) for _ in range(100)])
        shared = tools(stream, reads_max=3)

        async def follow(number: int) -> None:
            async for _ in ShardReader(shared, f"{YOUNG}{number}", TRIM_HORIZON).pages(lambda: None):
                pass

        await asyncio.gather(*(follow(number) for number in range(20)))
        assert stream.reading_most == 3

    run_virtual(scenario())


# --- errors that pass


@pytest.mark.parametrize("kind", [Throttled, Unanswered, Unreachable, CredentialsExpired])
def test_passing_errors_are_retried_at_the_same_place(kind: type[Throttled]) -> None:
    errors = [kind(Side.SOURCE, "injected") for _ in range(12)]
    stream = Script(page(2), *errors, page(1, first=3), opens=errors[:3])
    assert read_all(stream) == ["1", "2", "3"]
    assert stream.opened == [TRIM_HORIZON] * 4
    # 0.05 s doubling to 5 s, each drawn from its upper half.
    assert 15 < stream.read_at_s[-1] < 40


def test_reads_that_were_throttled_are_counted() -> None:
    metrics = Metrics()

    async def scenario() -> None:
        errors = [kind(Side.SOURCE, "injected") for kind in (Throttled, Unanswered, Throttled)]
        shared = replace(tools(Script(page(2), *errors, page(), opens=errors[:1])), metrics=metrics)
        async for _ in ShardReader(shared, YOUNG, TRIM_HORIZON).pages(lambda: None):
            pass

    run_virtual(scenario())
    assert metrics.value("read_throttles") == 3


def test_an_expired_iterator_is_replaced_by_one_behind_the_last_record_read() -> None:
    stream = Script(page(2), IteratorExpired("old"), page(1, first=3), page(), IteratorExpired("old"), page(1, first=4))
    assert read_all(stream) == ["1", "2", "3", "4"]
    assert stream.opened == [TRIM_HORIZON, "2", "3"]


def test_iterators_that_expire_again_and_again_do_not_make_the_reader_spin() -> None:
    stream = Script(*[IteratorExpired("old")] * 50, page(1))
    assert read_all(stream) == ["1"]
    assert stream.read_at_s[1] == 0.001
    assert stream.read_at_s[-1] > 60


def test_credentials_that_stay_expired_stop() -> None:
    expired = CredentialsExpired(Side.SOURCE, "GetRecords: the security token is expired")
    with pytest.raises(Stop, match="stayed expired for 300 s") as caught:
        read_all(Script(*[expired] * 1000))
    assert caught.value.exit_code is ExitCode.SOURCE


# --- trimmed, gone


def test_a_young_shard_that_was_not_read_yet_gets_a_fresh_iterator() -> None:
    stream = Script(page(), Trimmed("injected"), page(), Trimmed("injected"), page(1))
    assert read_all(stream) == ["1"]
    assert stream.opened == [TRIM_HORIZON] * 3


def test_a_fresh_iterator_has_to_answer() -> None:
    with pytest.raises(Gap, match=f"trimmed before they were read .shard {YOUNG}, read up to TRIM_HORIZON") as caught:
        read_all(Script(Trimmed("injected"), Trimmed("injected")))
    assert caught.value.exit_code is ExitCode.GAP


@pytest.mark.parametrize(
    "stream,shard_id,checkpoint",
    [
        (Script(Trimmed("injected")), OLD, TRIM_HORIZON),
        (Script(Trimmed("injected")), YOUNG, "7"),
        (Script(opens=[Trimmed("injected")]), YOUNG, "7"),
        (Script(page(1), Trimmed("injected")), YOUNG, TRIM_HORIZON),
        (Script(ShardGone("injected")), YOUNG, TRIM_HORIZON),
        (Script(opens=[ShardGone("injected")]), YOUNG, "7"),
        (Script(page(1), ShardGone("injected")), OLD, TRIM_HORIZON),
    ],
)
def test_whatever_may_have_been_lost_is_a_gap_never_an_end(stream: Script, shard_id: str, checkpoint: str) -> None:
    with pytest.raises(Gap, match="Nothing was skipped"):
        read_all(stream, shard_id, checkpoint)


def test_what_only_an_operator_can_mend_goes_up() -> None:
    with pytest.raises(Stop, match="not allowed"):
        read_all(Script(Stop(Side.SOURCE, "not allowed")))


# --- empty pages


@pytest.mark.parametrize("expires", [False, True])
def test_an_iterator_made_anew_has_the_way_to_the_records_before_it_again(expires: bool) -> None:
    async def scenario() -> None:
        again = [IteratorExpired("old")] if expires else []
        reader = ShardReader(tools(Script(*[page()] * 600, *again, *[page()] * 600)), YOUNG, TRIM_HORIZON)
        async for _ in reader.pages(lambda: None):
            pass
        assert (reader.empty_until_ms is None) is expires

    run_virtual(scenario())


# --- where to begin


def test_latest_is_asked_for_once() -> None:
    """Asked again, it would mean another place, and what came in between would be lost."""
    stream = Script(page(), IteratorExpired("old"), page(1), IteratorExpired("old"), page(1, first=2))
    assert read_all(stream, checkpoint=LATEST) == ["1", "2"]
    assert stream.opened == [LATEST, TRIM_HORIZON, "1"]


def test_latest_that_failed_is_not_asked_for_again() -> None:
    """What came meanwhile would lie behind it."""
    stream = Script(page(1), opens=[Throttled(Side.SOURCE, "injected")])
    assert read_all(stream, checkpoint=LATEST) == ["1"]
    assert stream.opened == [LATEST, TRIM_HORIZON]


def test_reading_goes_on_behind_the_checkpoint() -> None:
    stream = Script(page(1, first=8))
    assert read_all(stream, checkpoint="7") == ["8"]
    assert stream.opened == ["7"]


def test_a_cancelled_reader_gives_its_turn_back() -> None:
    async def scenario() -> None:
        stream = Script(*[page(1) for _ in range(100)])
        shared = tools(stream, reads_max=1)

        async def follow(keep: Callable[[Page], None]) -> None:
            async for one in ShardReader(shared, YOUNG, TRIM_HORIZON).pages(lambda: None):
                keep(one)

        for delay_s in (0, 0.0005, 0.05):
            task = asyncio.create_task(follow(lambda _: None))
            await asyncio.sleep(delay_s)
            task.cancel()
            await asyncio.wait([task])
        assert shared.turns.free
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(scenario())
