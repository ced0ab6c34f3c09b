"""The applier against a scripted destination: order per key, every write to its end, bounded memory.

`Destination` keeps the books: what is in flight, what stands, what was ever sent.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

import pytest

from dynamirror.errors import (
    CredentialsExpired,
    DynamirrorError,
    ExitCode,
    ItemRefused,
    Side,
    Stop,
    Throttled,
    Unanswered,
    Unreachable,
)
from dynamirror.follow.apply import BATCH_BYTES_MAX, BATCH_WRITES_MAX, Applier
from dynamirror.follow.send import ApplyTools
from dynamirror.loops.patience import CREDENTIALS_PATIENCE_S
from dynamirror.model.change import Write
from dynamirror.model.key import Key
from dynamirror.model.permit import Permit
from dynamirror.model.watermark import PageMark, Watermark
from dynamirror.settings.groups import WriteSettings
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.parking import nowhere

ALWAYS = float("inf")
NOT_NOW = (Throttled, Unanswered, Unreachable, CredentialsExpired)


class Figures:
    """Counts, as a `MetricSink`."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        self.lags: list[float] = []

    def count(self, name: str, amount: float = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        raise AssertionError("the applier has no gauge")

    def observe(self, name: str, value: float) -> None:
        self.lags.append(value)

    def sample(self, name: str, shard_id: str, value: float) -> None:
        raise AssertionError("the applier knows no shards")


Answer = Callable[[Sequence[Write]], tuple[float, set[Key] | DynamirrorError]]


class Destination:
    """Applies in full what the answer does not leave out; checks that no key is ever in flight twice."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer: Answer = answer or (lambda writes: (0.01, set()))
        self.stands: dict[Key, int] = {}
        self.sent: list[list[int]] = []
        self.in_flight: set[Key] = set()
        self.in_flight_most = 0
        self.requests = 0

    async def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        keys = {write.key for write in writes}
        assert 0 < len(keys) == len(writes) <= BATCH_WRITES_MAX
        assert not keys & self.in_flight, "two writes of a key in flight"
        self.in_flight |= keys
        self.requests += 1
        self.in_flight_most = max(self.in_flight_most, self.requests)
        self.sent.append([int(write.sequence_number) for write in writes])
        delay_s, outcome = self.answer(writes)
        try:
            await asyncio.sleep(delay_s)
        finally:
            self.in_flight -= keys
            self.requests -= 1
        if isinstance(outcome, DynamirrorError) and not isinstance(outcome, Unanswered):
            raise outcome
        left = set() if isinstance(outcome, DynamirrorError) else outcome
        for write in writes:
            if write.key not in left:
                number = int(write.sequence_number)
                assert self.stands.get(write.key, -1) <= number, f"{write.key}: an older image over a newer one"
                self.stands[write.key] = number
        if isinstance(outcome, DynamirrorError):
            raise outcome
        return [write for write in writes if write.key in left]


def write(key: str, number: int, size: int = 20) -> Write:
    return Write(key, b"x" * size, str(number))


class Bench:
    """An applier with its destination, and the page marks handed to it."""

    def __init__(self, answer: Answer | None = None, requests_max: int = 4, bytes_max: int = 10_000) -> None:
        self.destination = Destination(answer)
        self.figures = Figures()
        self.clock = VirtualClock()
        settings = WriteSettings(requests_in_flight_max=requests_max, queue_bytes_max=bytes_max)
        self.random = random.Random(1)
        self.late: list[Write] = []
        self.parking = nowhere(self.clock, self.figures)
        draw = self.random.random
        self.applier = Applier(
            ApplyTools(self.destination, self.clock, draw, self.figures, settings, self.late.extend, self.parking)
        )
        self.watermark = Watermark(Permit(ALWAYS))
        self.marks: list[PageMark] = []
        self._number = 0

    def submit(self, *keys: str, watermark: Watermark | None = None, size: int = 20) -> list[Write]:
        """One page with one change of each key; its sequence number is the number of the last change."""
        writes = []
        for key in keys:
            self._number += 1
            writes.append(write(key, self._number, size))
        mark = (watermark or self.watermark).add(str(self._number), len(writes))
        self.marks.append(mark)
        self.applier.submit(writes, mark)
        return writes

    async def settled(self) -> None:
        while not self.watermark.settled:
            await self.applier.progress()

    def assert_at_rest(self) -> None:
        assert self.watermark.settled
        assert all(mark.outstanding == 0 for mark in self.marks)
        assert "waiting=0, flying=0, requests=0, bytes=0" in repr(self.applier)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.applier.run())
        await asyncio.sleep(0)
        try:
            yield
            assert not task.done(), "the applier ended by itself"
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()
        assert self.destination.requests == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}, "tasks leaked"


def virtually(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Runs an async test on virtual time."""

    def run(**arguments: object) -> None:
        run_virtual(test(**arguments))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    run.__signature__ = __import__("inspect").signature(test)  # type: ignore[attr-defined]
    return run


# --- at random


def chaotic(draw: random.Random) -> Answer:
    """Slow, fast, partial, throttled, unanswered, unreachable, expired: by the seed."""

    def answer(writes: Sequence[Write]) -> tuple[float, set[Key] | DynamirrorError]:
        delay_s = draw.choice([0.0, 0.001, 0.05, 1.0]) * draw.random()
        if draw.random() < 0.4:
            return delay_s, draw.choice(NOT_NOW)(Side.DESTINATION, "injected")
        left = {write.key for write in writes if draw.random() < 0.3} if draw.random() < 0.5 else set()
        return delay_s, left

    return answer


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_destination_answers_the_newest_image_stands(seed: int) -> None:
    async def scenario() -> None:
        draw = random.Random(seed)
        bench = Bench(chaotic(draw), requests_max=draw.choice([1, 2, 5, 32]), bytes_max=draw.choice([100, 1000, 10**6]))
        keys = [f"k{i}" for i in range(draw.choice([1, 3, 40]))]
        newest: dict[Key, int] = {}
        checkpoints = [0]
        async with bench.running():
            for _ in range(150):
                while (wait := bench.applier.room()) is not None:
                    await wait
                page = bench.submit(*draw.sample(keys, draw.randint(1, min(30, len(keys)))))
                newest |= {write.key: int(write.sequence_number) for write in page}
                if draw.random() < 0.3:
                    await asyncio.sleep(draw.random() * 0.1)
                done = int(bench.watermark.advance() or 0)
                assert done >= checkpoints[-1]
                checkpoints.append(done)
                for mark in bench.marks:
                    if int(mark.last_sequence) <= done:
                        assert mark.outstanding == 0
            await bench.settled()
            bench.assert_at_rest()
        assert bench.destination.stands == newest
        assert bench.destination.in_flight_most <= bench.applier._tools.settings.requests_in_flight_max

    run_virtual(scenario())


@pytest.mark.parametrize("seed", range(20))
def test_a_checkpoint_never_passes_a_change_that_neither_it_nor_a_newer_one_stands(seed: int) -> None:
    async def scenario() -> None:
        draw = random.Random(seed)
        bench = Bench(chaotic(draw), requests_max=3)
        history: list[Write] = []
        async with bench.running():
            for _ in range(80):
                history += bench.submit(*draw.sample("abcdef", draw.randint(1, 6)))
                await asyncio.sleep(draw.random() * 0.3)
                done = int(bench.watermark.advance() or 0)
                for one in history:
                    if int(one.sequence_number) <= done:
                        assert bench.destination.stands[one.key] >= int(one.sequence_number)
            await bench.settled()

    run_virtual(scenario())


# --- one rule at a time


@virtually
async def test_a_change_that_comes_while_its_key_is_flying_waits_and_only_the_newest_is_sent() -> None:
    bench = Bench(lambda writes: (1.0, set()))
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(0.5)
        bench.submit("a")
        bench.submit("a", "b")
        await bench.settled()
        bench.assert_at_rest()
    assert bench.destination.sent == [[1], [4], [3]]
    assert (bench.figures.counts["changes_applied"], bench.figures.counts["changes_superseded"]) == (3, 1)


@virtually
async def test_a_failed_write_gives_way_to_the_newer_one_and_its_page_waits_for_it() -> None:
    answers: list[tuple[float, set[Key] | DynamirrorError]] = [
        (0.1, Throttled(Side.DESTINATION, "slow")),
        (5.0, set()),
    ]
    bench = Bench(lambda writes: answers.pop(0))
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(0.01)
        bench.submit("a")
        await asyncio.sleep(1.0)
        assert bench.destination.sent == [[1], [2]]
        assert bench.watermark.advance() is None
        await bench.settled()
        assert bench.watermark.checkpoint == "2"
        bench.assert_at_rest()
    assert (bench.figures.counts["changes_applied"], bench.figures.counts["changes_superseded"]) == (1, 1)


@virtually
async def test_other_keys_go_on_while_one_backs_off() -> None:
    bench = Bench(lambda writes: (0.001, {write.key for write in writes if write.key == "slow"}))
    async with bench.running():
        bench.submit("slow")
        for i in range(100):
            bench.submit(f"k{i}")
            await asyncio.sleep(0.01)
        assert len(bench.destination.stands) == 100
        assert bench.watermark.advance() is None


@pytest.mark.parametrize("kind", NOT_NOW)
@virtually
async def test_every_passing_error_is_retried_to_the_end(kind: type[Throttled]) -> None:
    left = [kind(Side.DESTINATION, "injected") for _ in range(20)]
    bench = Bench(lambda writes: (0.01, left.pop() if left else set()))
    async with bench.running():
        bench.submit("a", "b")
        await bench.settled()
        bench.assert_at_rest()
    assert bench.destination.stands == {"a": 1, "b": 2}
    assert bench.figures.counts["changes_doubtful" if issubclass(kind, Unanswered) else "write_retries"] == 40
    assert ("write_throttles" in bench.figures.counts) is (kind is Throttled)
    assert bench.figures.counts["changes_applied"] == 2


@virtually
async def test_the_pause_between_attempts_grows_to_its_limit() -> None:
    bench = Bench(lambda writes: (0.0, Throttled(Side.DESTINATION, "injected")))
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(600)
    assert 120 <= len(bench.destination.sent) <= 260


@virtually
async def test_batches_are_bounded_in_writes_and_bytes() -> None:
    bench = Bench(requests_max=32, bytes_max=10**9)
    async with bench.running():
        bench.submit(*(f"k{i}" for i in range(60)))
        bench.submit(*(f"l{i}" for i in range(5)), size=BATCH_BYTES_MAX // 2)
        bench.submit("huge", size=BATCH_BYTES_MAX * 3)
        await bench.settled()
        bench.assert_at_rest()
    assert [len(batch) for batch in bench.destination.sent] == [25, 25, 10, 2, 2, 1, 1]


@virtually
async def test_room_ends_at_the_limit_and_comes_back() -> None:
    bench = Bench(lambda writes: (1.0, set()), bytes_max=100)
    async with bench.running():
        assert bench.applier.room() is None
        bench.submit("a", "b", size=50)
        wait = bench.applier.room()
        assert wait is not None
        await wait
        assert bench.applier.room() is None


@virtually
async def test_room_comes_back_while_everything_backs_off() -> None:
    until_s = 20.0
    bench = Bench(bytes_max=100)
    bench.destination.answer = lambda writes: (
        0.01,
        Throttled(Side.DESTINATION, "injected") if asyncio.get_running_loop().time() < until_s else set(),
    )
    async with bench.running():
        bench.submit(*"abcdefgh")
        while (wait := bench.applier.room()) is not None:
            await asyncio.wait_for(wait, 60)
        await bench.settled()


@virtually
async def test_a_cancelled_wait_leaves_the_other_waiters_alone() -> None:
    bench = Bench(lambda writes: (1.0, set()))
    async with bench.running():
        first, second = bench.applier.progress(), bench.applier.progress()
        bench.submit("a")
        first.cancel()
        await asyncio.wait_for(second, 5)


# --- abandoned shards


@virtually
async def test_nothing_of_an_abandoned_shard_is_sent_any_more() -> None:
    bench = Bench(lambda writes: (1.0, Throttled(Side.DESTINATION, "injected")), requests_max=1)
    async with bench.running():
        bench.submit(*(f"k{i}" for i in range(60)))
        await asyncio.sleep(0.5)
        bench.watermark.abandoned = True
        await asyncio.sleep(60)
        assert len(bench.destination.sent) == 1
        assert "waiting=0, flying=0, requests=0, bytes=0" in repr(bench.applier)


@virtually
async def test_dropping_an_abandoned_shard_makes_room_for_the_others() -> None:
    """1 a shard fills the queue; 2 all of it fails and backs off; 3 its lease is lost; 4 another shard waits."""
    bench = Bench(lambda writes: (0.01, Throttled(Side.DESTINATION, "injected")), bytes_max=100)
    async with bench.running():
        bench.submit("a", "b", size=60)
        await asyncio.sleep(0.02)
        bench.watermark.abandoned = True
        wait = bench.applier.room()
        assert wait is not None
        await asyncio.wait_for(wait, 30)
        assert bench.applier.room() is None


@virtually
async def test_a_write_that_another_shard_superseded_stays_although_the_first_is_abandoned() -> None:
    """The lease was lost and taken again by this worker: the same changes come once more, under a new tenure."""
    bench = Bench(lambda writes: (1.0, set()), requests_max=1)
    again = Watermark(Permit(ALWAYS))
    async with bench.running():
        bench.submit("other")
        await asyncio.sleep(0.01)
        bench.submit("a")
        bench.watermark.abandoned = True
        bench.submit("a", watermark=again)
        await asyncio.sleep(10)
        assert again.settled
        assert bench.destination.stands == {"other": 1, "a": 3}


@virtually
async def test_a_newer_write_takes_over_from_a_failed_one_of_an_abandoned_tenure() -> None:
    answers: list[set[Key] | DynamirrorError] = [Unanswered(Side.DESTINATION, "injected")]
    bench = Bench(lambda writes: (0.1, answers.pop() if answers else set()))
    again = Watermark(Permit(ALWAYS))
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(0.01)
        bench.watermark.abandoned = True
        bench.submit("a", watermark=again)
        await asyncio.sleep(34)
        assert bench.destination.sent == [[1]]
        await asyncio.sleep(2)
        assert again.settled
    assert bench.destination.sent == [[1], [2]]


@virtually
async def test_a_refused_batch_is_not_split_any_further_once_its_shard_is_abandoned() -> None:
    bench = Bench()

    def answer(writes: Sequence[Write]) -> tuple[float, set[Key] | DynamirrorError]:
        bench.watermark.abandoned = True
        return 0.01, ItemRefused("too large")

    bench.destination.answer = answer
    async with bench.running():
        bench.submit("a", "b")
        await asyncio.sleep(10)
    assert bench.destination.sent == [[1, 2]]


# --- what stops


def refusing(*refused: str) -> Answer:
    def answer(writes: Sequence[Write]) -> tuple[float, set[Key] | DynamirrorError]:
        return 0.01, ItemRefused("Item size has exceeded") if any(w.key in refused for w in writes) else set()

    return answer


@pytest.mark.parametrize("place", range(9))
@virtually
async def test_a_refused_item_stops_and_names_itself_while_the_rest_of_its_batch_is_written(place: int) -> None:
    keys = [f"k{i}" for i in range(9)]
    bench = Bench(refusing(keys[place]), requests_max=1)
    task = asyncio.create_task(bench.applier.run())
    await asyncio.sleep(0)
    before = bench.submit("before")
    pages = [bench.submit(key) for key in keys]
    await asyncio.wait([task])
    error = task.exception()
    assert isinstance(error, ExceptionGroup)
    [stop] = error.exceptions
    assert "there is no state table; the checkpoint stays before it" in str(stop)
    assert isinstance(stop, Stop)
    assert stop.exit_code is ExitCode.DESTINATION
    number = pages[place][0].sequence_number
    assert f"'k{place}' (change {number}): Item size has exceeded" in str(stop)
    assert set(bench.destination.stands) == {"before", *keys} - {keys[place]}
    expected = pages[place - 1][0] if place else before[0]
    assert bench.watermark.advance() == expected.sequence_number
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtually
async def test_of_several_refused_items_one_is_named() -> None:
    bench = Bench(refusing("a", "c"))
    task = asyncio.create_task(bench.applier.run())
    await asyncio.sleep(0)
    bench.submit("a", "b", "c")
    await asyncio.wait([task])
    assert bench.destination.stands == {"b": 2}
    error = task.exception()
    assert isinstance(error, ExceptionGroup)
    assert "'a' (change 1)" in str(error.exceptions[0])


@virtually
async def test_after_a_stop_nothing_is_sent_and_pages_that_still_come_raise_no_second_error() -> None:
    """A shard task that has just read a page submits it before its own cancellation arrives."""
    bench = Bench(lambda writes: (0.0, Stop(Side.DESTINATION, "table gone")))
    task = asyncio.create_task(bench.applier.run())
    await asyncio.sleep(0)
    bench.submit("a")
    for turn in range(20):
        bench.submit(f"k{turn}")
        await asyncio.sleep(0)
    assert task.done()
    bench.submit("late")
    assert isinstance(task.exception(), ExceptionGroup)
    sent = len(bench.destination.sent)
    await asyncio.sleep(10)
    assert len(bench.destination.sent) == sent


@virtually
async def test_credentials_may_be_expired_for_a_while_but_not_for_ever() -> None:
    expired = CredentialsExpired(Side.DESTINATION, "BatchWriteItem: the security token is expired")
    bench = Bench(lambda writes: (0.01, expired))
    task = asyncio.create_task(bench.applier.run())
    await asyncio.sleep(0)
    bench.submit("a")
    await asyncio.wait([task], timeout=CREDENTIALS_PATIENCE_S - 1)
    assert not task.done()
    await asyncio.wait([task], timeout=20)
    error = task.exception()
    assert isinstance(error, ExceptionGroup)
    assert isinstance(error.exceptions[0], Stop)
    assert "stayed expired for 300 s" in str(error.exceptions[0])


@virtually
async def test_credentials_that_recover_in_between_do_not_stop() -> None:
    expired = CredentialsExpired(Side.DESTINATION, "the security token is expired")
    bench = Bench()
    bench.destination.answer = lambda writes: (
        0.01,
        set() if any(w.key == "good" for w in writes) else expired,
    )
    async with bench.running():
        bench.submit("bad")
        for _ in range(10):
            await asyncio.sleep(200)
            bench.submit("good")


@virtually
async def test_lag_is_observed_once_a_page_when_it_is_durable() -> None:
    bench = Bench(lambda writes: (1.0, set()))
    async with bench.running():
        mark = bench.watermark.add("2", 2, bench.clock.wall_s() - 3.0)
        bench.applier.submit([write("a", 1), write("b", 2)], mark)
        await bench.settled()
    assert bench.figures.lags == [pytest.approx(4.0)]


@virtually
async def test_a_refused_item_gives_way_to_a_newer_image_that_is_waiting() -> None:
    answers: list[set[Key] | DynamirrorError] = [ItemRefused("Item size has exceeded")]
    bench = Bench(lambda writes: (0.1, answers.pop() if answers else set()))
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(0.05)
        bench.submit("a")
        await bench.settled()
        bench.assert_at_rest()
    assert bench.destination.sent == [[1], [2]]
