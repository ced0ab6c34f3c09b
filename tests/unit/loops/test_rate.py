"""Who is admitted when: changes first, pages second, nobody twice, and nothing is lost by whoever gives up."""

import asyncio
from contextlib import suppress

import pytest

from dynamirror.loops.rate import Rate
from dynamirror.model.change import Write
from dynamirror.model.lane import PAGE_S, Lane
from dynamirror.model.rate import SAVED_S
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import ScanPage
from dynamirror.testing.virtual_time import VirtualClock, run_virtual


def rate_of(
    write: float | None = None, read: float | None = None, capacity: float | None = None, alone: bool = True
) -> Rate:
    """Limits of this worker alone; `capacity` of both tables."""
    clock = VirtualClock()
    lanes = Lane(read, capacity, clock.boottime_s()), Lane(write, capacity, clock.boottime_s())
    for lane in lanes if alone else ():
        lane.alone(clock.boottime_s())
    return Rate(clock, Metrics(), *lanes)


def now_s() -> float:
    return asyncio.get_running_loop().time()


def writes(count: int, size: int = 1000) -> list[Write]:
    return [Write(f"k{number}", b"x" * size) for number in range(count)]


def test_without_limits_nobody_waits() -> None:
    async def steps() -> None:
        rate = rate_of()
        for _ in range(100):
            assert (await rate.page(2000)).items_max == 2000
        assert now_s() == 0
        assert not rate.limited

    run_virtual(steps())


def test_changes_pass_at_the_rate() -> None:
    async def steps() -> None:
        rate = rate_of(write=100)
        for _ in range(101):
            await rate.change(10)
        assert now_s() == pytest.approx(10, rel=0.03)

    run_virtual(steps())


def test_nothing_passes_before_there_is_a_share() -> None:
    async def steps() -> None:
        rate = rate_of(write=100, alone=False)
        waiting = asyncio.create_task(rate.change(1))
        await asyncio.sleep(60)
        assert not waiting.done()
        rate.write.share(50, rate._clock.boottime_s())
        await asyncio.wait_for(waiting, 1)

    run_virtual(steps())


def test_a_page_waits_while_a_change_does() -> None:
    async def steps() -> None:
        rate = rate_of(write=100)
        admitted: list[str] = []

        async def change(number: int) -> None:
            await rate.change(100)
            admitted.append(f"change {number}")

        async def page() -> None:
            await rate.page(10)
            admitted.append("page")

        first = asyncio.create_task(page())
        await asyncio.sleep(0)
        await asyncio.gather(first, page(), *(change(number) for number in range(5)))
        assert admitted == ["page", *(f"change {number}" for number in range(5)), "page"]

    run_virtual(steps())


def test_who_gives_up_waiting_holds_nobody_up() -> None:
    async def steps() -> None:
        rate = rate_of(write=10)
        await rate.change(100)
        tasks = [asyncio.create_task(rate.change(100)) for _ in range(3)]
        await asyncio.sleep(5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await rate.page(1)
        assert now_s() == pytest.approx(10, abs=0.5)

    run_virtual(steps())


def test_changes_that_were_not_written_cost_nothing() -> None:
    async def steps() -> None:
        rate = rate_of(write=10)
        for _ in range(20):
            await rate.change(100)
            rate.give_back(100)
        assert now_s() < 0.1

    run_virtual(steps())


def test_what_the_service_charged_counts_and_not_the_estimate() -> None:
    async def steps() -> None:
        rate = rate_of(write=10)
        batch = writes(1, 100 * 1024)
        await rate.change(100)
        rate.change_written(batch, 20)
        await rate.change(1)
        assert now_s() == pytest.approx(2, abs=0.1)
        assert rate._metrics.value("write_units") == 20  # type: ignore[attr-defined]

    run_virtual(steps())


def test_a_page_is_a_moments_worth_by_what_its_items_cost() -> None:
    async def steps() -> None:
        rate = rate_of(write=400, read=1000)
        page = await rate.page(2000)
        assert page.items_max == 400 * PAGE_S
        page.scanned(ScanPage([], b"", 0, 0.0))
        page.sent(writes(100, 4096))
        page.close()
        for _ in range(3):
            page = await rate.page(2000)
            assert page.items_max == 400 * PAGE_S / 4
            page.close()
        assert (await rate.page(7)).items_max == 7

    run_virtual(steps())


def test_a_page_of_items_that_cost_more_than_a_second_has_one() -> None:
    async def steps() -> None:
        rate = rate_of(write=100)
        page = await rate.page(2000)
        page.sent(writes(1, 400 * 1024))
        page.close()
        assert (await rate.page(2000)).items_max == 1
        assert now_s() == pytest.approx(4, abs=0.1)

    run_virtual(steps())


def test_a_page_that_came_to_nothing_costs_nothing() -> None:
    async def steps() -> None:
        rate = rate_of(write=100, read=100)
        for _ in range(100):
            with suppress(ZeroDivisionError):
                page = await rate.page(2000)
                try:
                    raise ZeroDivisionError
                finally:
                    page.close()
        assert now_s() < SAVED_S

    run_virtual(steps())


def test_what_a_page_read_is_charged_as_the_service_says_it() -> None:
    async def steps() -> None:
        rate = rate_of(read=10)
        page = await rate.page(2000)
        page.scanned(ScanPage([], b"", 8192, 50.0))
        page.close()
        page = await rate.page(2000)
        page.scanned(ScanPage([], b"", 8192))
        page.close()
        await rate.page(1)
        assert now_s() == pytest.approx(5.2, abs=0.2)
        assert rate._metrics.value("read_units") == 52  # type: ignore[attr-defined]

    run_virtual(steps())


def test_throttles_slow_the_copy_and_not_the_changes() -> None:
    async def steps() -> None:
        rate = rate_of(write=100, capacity=100)
        rate.throttled_writing()
        assert rate.write.copy_rate_s == pytest.approx(70)
        assert rate.write.limit.rate_s == 100
        rate.throttled_reading()
        assert rate.read.copy_rate_s == pytest.approx(70)

    run_virtual(steps())
