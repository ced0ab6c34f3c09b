"""Real `dynamirror replicate` processes that share a task, and what is done to them."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

from tests.support.command import bare_environ

STOP_S_MAX = 60.0


class Worker:
    """One place of the fleet: a process, and the next one after it was killed. Its output goes to one file."""

    def __init__(self, arguments: list[str], access_key: str, log: Path) -> None:
        self._arguments = arguments
        self._environ = bare_environ(access_key)
        self._log = log
        self._process: Process | None = None
        # Where in the log the present process began.
        self._log_begin = 0

    async def start(self) -> None:
        """Start it anew."""
        with self._log.open("ab") as output:
            self._log_begin = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dynamirror", *self._arguments, env=self._environ, stdout=output, stderr=output
            )

    @property
    def ended(self) -> int | None:
        """The exit code of a process that has ended, None while it runs."""
        assert self._process is not None
        return self._process.returncode

    @property
    def started(self) -> bool:
        """Whether the present process got as far as replicating."""
        return "event=started" in self.output

    @property
    def output(self) -> str:
        """What the present process has printed."""
        return self._log.read_bytes()[self._log_begin :].decode(errors="replace")

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def freeze(self, for_s: float) -> None:
        """SIGSTOP, and SIGCONT after so long: what it was about to send, it sends then."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            if self._process.returncode is None:
                self._process.send_signal(signal.SIGCONT)

    async def terminate(self) -> int:
        """SIGTERM; the exit code. Raises TimeoutError."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        async with asyncio.timeout(STOP_S_MAX):
            return await self._process.wait()
