"""The loop on virtual time: fast, repeatable, and loud when it cannot go on."""

import asyncio
from itertools import count
from random import Random

import pytest

from dynamirror.testing import virtual_time
from dynamirror.testing.virtual_time import Standstill, VirtualClock, run_virtual

HOUR_S = 3600.0


def test_hours_pass_at_once() -> None:
    async def main() -> tuple[float, float]:
        clock = VirtualClock(boot_s=10.0, epoch_s=1000.0)
        await clock.sleep(30 * HOUR_S)
        return clock.boottime_s(), clock.wall_s()

    assert run_virtual(main()) == pytest.approx((10 + 30 * HOUR_S, 1000 + 30 * HOUR_S))


def test_timers_fire_in_their_order_at_their_time() -> None:
    async def main() -> list[tuple[float, str]]:
        fired: list[tuple[float, str]] = []
        loop = asyncio.get_running_loop()

        async def nap(name: str, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            fired.append((loop.time(), name))

        await asyncio.gather(nap("late", 2.5), nap("early", 0.1), nap("now", 0))
        return fired

    assert run_virtual(main()) == [(0.0, "now"), (pytest.approx(0.1), "early"), (pytest.approx(2.5), "late")]


def test_who_is_due_at_one_moment_runs_in_the_order_of_scheduling() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        ran: list[int] = []
        for number in range(20):
            loop.call_at(5.0, ran.append, number)
        await asyncio.sleep(5.0)
        await asyncio.sleep(0)
        return ran

    assert run_virtual(main()) == list(range(20))


def test_a_cancelled_timer_neither_fires_nor_takes_time() -> None:
    async def main() -> tuple[float, list[str]]:
        loop = asyncio.get_running_loop()
        fired: list[str] = []
        timer = loop.call_later(HOUR_S, fired.append, "cancelled")
        loop.call_soon(timer.cancel)
        soon = loop.call_soon(fired.append, "cancelled too")
        soon.cancel()
        await asyncio.sleep(1)
        return loop.time(), fired

    assert run_virtual(main()) == (1.0, [])


def test_an_error_of_a_callback_ends_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(int, "none")
        await asyncio.sleep(1)

    with pytest.raises(ValueError, match="none"):
        run_virtual(main())


def test_a_seed_is_one_trace() -> None:
    def trace(seed: int) -> list[tuple[float, int]]:
        async def main() -> list[tuple[float, int]]:
            draw = Random(seed)
            seen: list[tuple[float, int]] = []

            async def walk(name: int) -> None:
                for _ in range(100):
                    await asyncio.sleep(draw.random())
                    seen.append((asyncio.get_running_loop().time(), name))

            async with asyncio.TaskGroup() as group:
                for name in range(10):
                    group.create_task(walk(name))
            return seen

        return run_virtual(main())

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def test_timeouts_are_virtual() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(HOUR_S):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(HOUR_S)


def test_all_waiting_is_an_error_at_once() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            group.create_task(asyncio.Event().wait())

    with pytest.raises(Standstill, match="every task waits"):
        run_virtual(main())


def test_spinning_without_sleep_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "IDLE_TURNS_MAX", 1000)

    async def main() -> None:
        await asyncio.sleep(1)
        for _ in count():
            await asyncio.sleep(0)

    with pytest.raises(Standstill, match="stands still at 1"):
        run_virtual(main())


def test_an_error_of_the_program_comes_through() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run_virtual(main())


def test_machines_have_clocks_of_their_own() -> None:
    async def main() -> None:
        fast, right = VirtualClock(boot_s=0, epoch_s=0, rate=2.0), VirtualClock(boot_s=500, epoch_s=0)
        await right.sleep(10)
        assert (fast.boottime_s(), right.boottime_s()) == (20, 510)
        await fast.sleep(10)
        assert right.boottime_s() == 515
        right.step_wall(-100)
        assert (right.wall_s(), right.boottime_s()) == (-85, 515)

    run_virtual(main())
