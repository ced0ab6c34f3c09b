"""A broadcast that nobody misses and that leaves nothing behind."""

import asyncio

from dynamirror.loops.signal import Signal, done_within
from dynamirror.testing.virtual_time import run_virtual


def test_everyone_who_waits_is_woken_once() -> None:
    async def scenario() -> None:
        signal = Signal()
        signal.notify()
        first, second = signal.wait(), signal.wait()
        assert not first.done()
        signal.notify()
        await asyncio.wait_for(asyncio.gather(first, second), 1)
        third = signal.wait()
        await asyncio.sleep(1)
        assert not third.done()

    run_virtual(scenario())


def test_waiting_ends_at_the_time_out_or_before() -> None:
    async def scenario() -> None:
        signal = Signal()
        loop = asyncio.get_running_loop()
        assert not await done_within(signal.wait(), 5)
        assert loop.time() == 5
        loop.call_later(2, signal.notify)
        assert await done_within(signal.wait(), 5)
        assert loop.time() == 7

    run_virtual(scenario())


def test_time_outs_leave_nothing_behind() -> None:
    async def scenario() -> None:
        signal = Signal()
        keeper = signal.wait()
        for _ in range(100):
            await done_within(signal.wait(), 1)
        await asyncio.sleep(0)
        inner = signal._next
        assert inner is not None
        assert "cb=[shield" in repr(inner)
        assert len(inner._callbacks or []) == 1
        signal.notify()
        await keeper

    run_virtual(scenario())
