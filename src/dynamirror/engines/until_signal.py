"""Work that a signal ends at once: what it keeps, it has made durable by itself."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from dynamirror.engines.launch import DeserterPool

T = TypeVar("T")


async def until_signal(work: Coroutine[Any, Any, T]) -> T | None:
    """The result; None: SIGTERM or SIGINT came first. Raises what the work raises."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DeserterPool())
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()
