"""No write leaves without a permit of its lease, and one that may have left late is not forgotten."""

import asyncio
from collections.abc import Sequence

from dynamirror.errors import DynamirrorError, ItemRefused, Side, Throttled, Unanswered
from dynamirror.model.change import Write
from dynamirror.model.key import Key
from dynamirror.model.permit import NEVER, Permit
from dynamirror.model.watermark import Watermark
from tests.unit.follow.test_apply import ALWAYS, Bench, virtually


@virtually
async def test_without_a_permit_a_write_waits_and_others_go_on() -> None:
    bench = Bench()
    other = Watermark(Permit(ALWAYS))
    bench.watermark.permit.until_s = NEVER
    async with bench.running():
        bench.submit("a", "b")
        bench.submit("c", watermark=other)
        await asyncio.sleep(60)
        assert bench.destination.stands == {"c": 3}
        # A newer change of a key that was set aside takes its place.
        bench.submit("a")
        bench.watermark.permit.until_s = bench.clock.boottime_s() + 1
        bench.applier.resume(bench.watermark)
        await asyncio.sleep(1)
        bench.assert_at_rest()
    assert bench.destination.stands == {"c": 3, "b": 2, "a": 4}


@virtually
async def test_what_waits_for_a_permit_is_dropped_with_its_lease() -> None:
    bench = Bench(bytes_max=20)
    bench.watermark.permit.until_s = NEVER
    async with bench.running():
        bench.submit("a", "b")
        room = bench.applier.room()
        assert room is not None
        await asyncio.sleep(1)
        bench.watermark.abandoned = True
        bench.applier.resume(bench.watermark)
        await asyncio.wait_for(room, 1)
        assert bench.applier.room() is None
    assert bench.destination.sent == []


@virtually
async def test_a_retry_needs_a_permit_too() -> None:
    bench = Bench(lambda writes: (0.1, Throttled(Side.DESTINATION, "injected")))
    bench.watermark.permit.until_s = bench.clock.boottime_s() + 0.12
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(60)
    assert len(bench.destination.sent) == 1


@virtually
async def test_the_halves_of_a_refused_batch_need_a_permit_too() -> None:
    def answer(writes: Sequence[Write]) -> tuple[float, set[Key] | DynamirrorError]:
        return 1.0, ItemRefused("injected") if any(write.key == "bad" for write in writes) else set()

    bench = Bench(answer)
    bench.watermark.permit.until_s = bench.clock.boottime_s() + 0.5
    async with bench.running():
        bench.submit("a", "bad")
        await asyncio.sleep(60)
    assert len(bench.destination.sent) == 1


@virtually
async def test_what_failed_does_not_wait_for_what_is_in_doubt() -> None:
    """A refused batch is halved: one half is not answered, the other throttled."""

    def answer(writes: Sequence[Write]) -> tuple[float, set[Key] | DynamirrorError]:
        sent.append([str(write.key) for write in writes])
        if len(sent) == 1:
            return 0.01, ItemRefused("injected")
        return 0.01, {2: Unanswered(Side.DESTINATION, "x"), 3: Throttled(Side.DESTINATION, "x")}.get(len(sent), set())

    sent: list[list[str]] = []
    bench = Bench(answer)
    async with bench.running():
        bench.submit("a", "b")
        await asyncio.sleep(5)
        assert sent == [["a", "b"], ["a"], ["b"], ["b"]]
        await asyncio.sleep(31)
        assert sent[4:] == [["a"]]
        bench.assert_at_rest()


@virtually
async def test_a_write_that_left_late_is_noted_until_the_lease_is_proven() -> None:
    """The process was frozen between the check and the sending: the answer comes after the lease could be taken."""
    bench = Bench(lambda writes: (8.0, set()))
    permit = bench.watermark.permit
    permit.until_s = bench.clock.boottime_s() + 1.5
    async with bench.running():
        bench.submit("a")
        await bench.settled()
        assert [late.key for late in bench.watermark.late] == ["a"]
        assert bench.late == []
        # In time: until_s + T + drift.
        permit.until_s = bench.clock.boottime_s() + 2.5
        bench.submit("b")
        await bench.settled()
        assert [late.key for late in bench.watermark.late] == ["a"]


@virtually
async def test_a_late_write_of_a_lost_lease_is_to_be_reconciled() -> None:
    bench = Bench(lambda writes: (8.0, Unanswered(Side.DESTINATION, "injected")))
    bench.watermark.permit.until_s = bench.clock.boottime_s() + 1.0
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(1)
        bench.watermark.abandoned = True
        await asyncio.sleep(60)
    assert [late.key for late in bench.late] == ["a"]


@virtually
async def test_doubt_lasts_as_long_after_a_freeze() -> None:
    """1 the clock is read; 2 the process is paused for a minute; 3 v1 leaves, without an answer."""
    answers: list[tuple[float, set[Key] | DynamirrorError]] = [(60.0, Unanswered(Side.DESTINATION, "injected"))]
    bench = Bench(lambda writes: answers.pop() if answers else (0.01, set()))
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(60.1)
        bench.submit("a")
        await asyncio.sleep(29)
        assert bench.destination.sent == [[1]]
        await asyncio.sleep(2)
        assert bench.destination.sent == [[1], [2]]
