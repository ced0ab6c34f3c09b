"""Starts a worker from the command line: logs, event loop, worker.

Apart from `engines/worker` because a program that uses replication as a library has its own logs and loop.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from dynamirror.engines.lifeline import Lifeline
from dynamirror.engines.live_progress import Line
from dynamirror.model.copy_summary import Summary
from dynamirror.model.task_name import LEASE_TABLE_PREFIX
from dynamirror.observe.logs import set_up_logs
from dynamirror.settings.groups import ReplicationSettings

P = ParamSpec("P")
T = TypeVar("T")


def launch(
    settings: ReplicationSettings, environ: Mapping[str, str], host: str, lifeline: Lifeline | None = None
) -> int:
    """Replicate until stopped; returns the exit code, raises what the worker raises. `host` names log files.

    `lifeline`: where this is one of several processes. Their terminal has no live line: each would write over the
    others'.
    """
    set_up_task_logs(settings, host)
    from dynamirror.engines.worker import run_worker

    if lifeline is not None:
        settings = replace(settings, metrics=replace(settings.metrics, supervised=lifeline.place.pages))
    line = line_of(settings, environ) if settings.copy.wanted and lifeline is None else None
    return _run(run_worker(settings, environ, line=line, lifeline=lifeline))


def launch_copy(settings: ReplicationSettings, environ: Mapping[str, str], host: str) -> Summary:
    """Copy the table at rest, until done or stopped; raises what the worker raises. `host` names log files."""
    set_up_task_logs(settings, host)
    from dynamirror.engines.copy_run import run_copy

    return _run(run_copy(settings, environ, line_of(settings, environ)))


def set_up_task_logs(settings: ReplicationSettings, host: str) -> None:
    """Logs on stderr, and in files named by task and host where a directory is given. Raises Refused."""
    task = settings.task.lease_table.removeprefix(LEASE_TABLE_PREFIX) or settings.task.lease_table
    set_up_logs(settings.log, task, host, sys.stderr)


def line_of(settings: ReplicationSettings, environ: Mapping[str, str]) -> Line | None:
    """Where progress is told live; None: not on a terminal. The logs are set up."""
    if not sys.stderr.isatty():
        return None
    from dynamirror.engines.live_line import live_line

    return live_line(settings.log, sys.stderr, environ)


def _run(work: Coroutine[Any, Any, T]) -> T:
    async def run() -> T:
        asyncio.get_running_loop().set_default_executor(DeserterPool())
        return await work

    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(run())


class DeserterPool(ThreadPoolExecutor):
    """Threads that the end of the program does not wait for: one that looks for credentials may hang for minutes.

    To be a loop's default executor, which has to be of this class.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Run `fn` in a thread of its own."""
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                with _Raised(future):
                    future.set_result(fn(*args, **kwargs))

        threading.Thread(target=work, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing: the threads end with the process."""


@dataclass(frozen=True, slots=True)
class _Raised:
    """Hands what its block raises to whoever waits for the future."""

    future: "Future[Any]"

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self.future.set_exception(error)
        return True


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it is installed; None stands for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
