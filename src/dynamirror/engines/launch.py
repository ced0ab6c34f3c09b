"""Starts a worker from the command line: logs, event loop, worker.

Apart from `engines/worker` because a program that uses replication as a library has its own logs and loop.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping

from dynamirror.model.task_name import LEASE_TABLE_PREFIX
from dynamirror.observe.logs import set_up_logs
from dynamirror.settings.groups import ReplicationSettings


def launch(settings: ReplicationSettings, environ: Mapping[str, str], host: str) -> int:
    """Replicate until stopped; returns the exit code, raises what the worker raises. `host` names log files."""
    task = settings.task.lease_table.removeprefix(LEASE_TABLE_PREFIX) or settings.task.lease_table
    set_up_logs(settings.log, task, host, sys.stderr)
    from dynamirror.engines.worker import run_worker

    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(run_worker(settings, environ))


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it is installed; None stands for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
