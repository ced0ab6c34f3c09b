"""The applier with a limit: what waits for it is not on its way, and nothing that was not written is charged."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from dynamirror.errors import DynamirrorError, Side, Throttled
from dynamirror.follow.apply import Applier
from dynamirror.follow.send import ApplyTools
from dynamirror.loops.rate import Rate
from dynamirror.model.change import Write
from dynamirror.model.key import Key
from dynamirror.model.lane import Lane
from dynamirror.model.permit import Permit
from dynamirror.model.watermark import Watermark
from dynamirror.observe.metrics import Metrics
from dynamirror.settings.groups import WriteSettings
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.follow.test_apply import ALWAYS, Bench, Destination


class Limited(Bench):
    """A bench whose applier has a limit."""

    def __init__(
        self,
        units_s: float | None,
        answer: Callable[[Sequence[Write]], tuple[float, set[Key] | DynamirrorError]] | None = None,
    ) -> None:
        super().__init__(answer)
        now_s = self.clock.boottime_s()
        self.rate = Rate(self.clock, Metrics(), Lane(None, 1000, now_s), Lane(units_s, 1000, now_s))
        self.rate.write.alone(now_s)
        settings = WriteSettings(requests_in_flight_max=4)
        draw = self.random.random
        self.applier = Applier(
            ApplyTools(
                self.destination, self.clock, draw, self.figures, settings, self.late.extend, self.parking, self.rate
            )
        )

    def keys(self, count: int) -> list[str]:
        return [f"k{number}" for number in range(count)]


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_changes_are_written_at_the_rate_by_their_size() -> None:
    async def steps() -> None:
        bench = Limited(50.0)
        async with bench.running():
            bench.submit(*bench.keys(100), size=5000)
            await bench.settled()
        # Five units each, the last batch of 25 leaves without waiting for its own debt.
        assert now_s() == pytest.approx((100 - 25) * 5 / 50, rel=0.1)
        bench.assert_at_rest()

    run_virtual(steps())


def test_what_waits_for_the_rate_is_not_on_its_way_and_is_dropped_with_its_lease() -> None:
    """A stop drains for a moment; what is left has not been sent, and the lease can be given up in order."""

    async def steps() -> None:
        bench = Limited(1.0)
        async with bench.running():
            bench.submit(*bench.keys(25))
            tenure = Watermark(Permit(ALWAYS))
            bench.submit("late", watermark=tenure)
            await asyncio.sleep(2)
            assert len(bench.destination.stands) == 25
            assert not bench.applier.landing(tenure)
            tenure.abandoned = True
            bench.applier.resume(tenure)
            await asyncio.sleep(40)
            assert "late" not in bench.destination.stands
        assert "waiting=0, flying=0, requests=0, bytes=0" in repr(bench.applier)

    run_virtual(steps())


def test_the_permit_is_looked_at_after_waiting() -> None:
    async def steps() -> None:
        bench = Limited(1.0)
        async with bench.running():
            bench.submit(*bench.keys(25))
            tenure = Watermark(Permit(bench.clock.boottime_s() + 10))
            bench.submit("late", watermark=tenure)
            await asyncio.sleep(60)
            assert "late" not in bench.destination.stands
            tenure.permit.until_s = ALWAYS
            bench.applier.resume(tenure)
            await asyncio.sleep(10)
            assert "late" in bench.destination.stands

    run_virtual(steps())


def test_what_is_throttled_costs_nothing_and_slows_the_copy() -> None:
    async def steps() -> None:
        throttles = [Throttled(Side.DESTINATION, "injected")] * 3

        def answer(writes: Sequence[Write]) -> tuple[float, set[Key] | DynamirrorError]:
            return (0.01, throttles.pop()) if throttles else (0.01, set())

        bench = Limited(10.0, answer)
        async with bench.running():
            bench.submit(*bench.keys(25))
            await bench.settled()
        assert now_s() < 2
        # Once: further attempts are the same changes'.
        assert bench.rate.write.copy_rate_s == 10 < bench.rate.write._aimd.rate_s == pytest.approx(700)

    run_virtual(steps())


def test_without_a_limit_nothing_is_counted() -> None:
    async def steps() -> None:
        bench = Limited(None)
        async with bench.running():
            bench.submit(*bench.keys(1000))
            await bench.settled()
        assert now_s() < 1
        assert isinstance(bench.destination, Destination)

    run_virtual(steps())
