"""Processes that are measured: what they cost is what the kernel says, of CPU when they have ended."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.load import Load
from tests.support.command import bare_environ

ACCESS_KEY = "AKIDBENCH"
# Of a process that is about to end.
LOOK_EVERY_S = 0.01
# Bytes on macOS, kilobytes elsewhere (getrusage(2) of each).
MAXRSS_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table is."""

    region: str
    endpoint: str
    table: str


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process, from its start to its end, children not included."""

    cpu_s: float
    rss_max_mb: float
    exit_code: int


@dataclass(slots=True)
class Measured:
    """A running process; `cost` is there once it has ended.

    Its peak of memory is looked up while it runs, on Linux: ru_maxrss of a child is at least its parent's peak when it
    was begun, which exec(2) hands on.
    """

    process: subprocess.Popen[bytes]
    cost: Cost | None = None
    rss_max_mb: float = 0.0

    @property
    def running(self) -> bool:
        """Looks, and takes the cost down at its end."""
        if self.cost is None:
            self.rss_max_mb = max(self.rss_max_mb, _rss_max_mb(self.process.pid))
            self._reap(os.WNOHANG)
        return self.cost is None

    def end(self) -> Cost:
        """SIGTERM, and wait; a process that has ended by itself is left as it is."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            while self.running:
                time.sleep(LOOK_EVERY_S)
        assert self.cost is not None
        return self.cost

    def _reap(self, options: int) -> None:
        found, status, usage = os.wait4(self.process.pid, options)
        if found == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        # Or Popen would wait for it again.
        self.process.returncode = code
        rss_max_mb = self.rss_max_mb if sys.platform == "linux" else usage.ru_maxrss / MAXRSS_PER_MB
        self.cost = Cost(usage.ru_utime + usage.ru_stime, rss_max_mb, code)


def _rss_max_mb(pid: int) -> float:
    """Its peak so far (proc(5), VmHWM); 0: it has ended, or this is no Linux."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


@contextmanager
def measured(command: list[str], access_key: str = ACCESS_KEY) -> Iterator[Measured]:
    """Run `command` with made-up credentials and nothing of the user's; ended on the way out."""
    one = Measured(subprocess.Popen(command, env=bare_environ(access_key), stdout=subprocess.DEVNULL))
    try:
        yield one
    finally:
        one.end()


def replicate(source: Place, destination: Place, state_endpoint: str, *more: str) -> list[str]:
    """The real command line; `more`: further flags."""
    return [
        *(sys.executable, "-m", "dynamirror", "replicate", "--dont-publish-cloudwatch", "--log-level", "WARNING"),
        *("--source-region", source.region, "--source-endpoint", source.endpoint, "--source-table", source.table),
        *("--destination-region", destination.region, "--destination-endpoint", destination.endpoint),
        *("--destination-table", destination.table),
        *("--kcl-region", source.region, "--kcl-endpoint", state_endpoint, "--task-name", "bench"),
        *more,
    ]


@asynccontextmanager
async def standin(load: Load) -> AsyncIterator[str]:
    """The stand-in's endpoint."""
    command = (sys.executable, "-m", "bench.standin", json.dumps(asdict(load)))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()


async def counts_when(
    endpoint: str, enough: Callable[[dict[str, Any]], bool], alive: Callable[[], bool], timeout_s: float
) -> dict[str, Any]:
    """The stand-in's counts as soon as they are enough, or nobody is alive to change them."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        lives = alive()
        counts = await asyncio.to_thread(_counts, endpoint)
        if enough(counts) or not lives or time.monotonic() > deadline_s:
            return counts
        await asyncio.sleep(0.1)


def _counts(endpoint: str) -> dict[str, Any]:
    with urllib.request.urlopen(endpoint) as answer:
        counts: dict[str, Any] = json.load(answer)
        return counts
