"""What signals do to a command."""

import asyncio
import os
import signal

import pytest

from dynamirror.engines import stop_signals
from dynamirror.engines.stop_signals import stop_by_signals


async def test_one_request_that_comes_as_two_signals_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_signals, "ONE_REQUEST_S", 60.0)
    stops: list[str] = []
    stop_by_signals(lambda: stops.append("stop"))
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.01)
    assert stops == ["stop"]


async def test_later_ones_end_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_signals, "ONE_REQUEST_S", 0.01)
    stop_by_signals(lambda: None)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        # asyncio puts back what the process had: for SIGTERM its end.
        while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # noqa: ASYNC110 (there is no event of it)
            await asyncio.sleep(0.01)
