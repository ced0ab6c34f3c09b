"""The real command in a process of its own, as an operator would start it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self


class Command:
    """`with Command([...], log) as command:` runs `dynamirror ...`; its output goes to the file `log`."""

    def __init__(self, arguments: list[str], log: Path, environ: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._log = log
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at_s = 0.0

    def __enter__(self) -> Self:
        self.started_at_s = time.monotonic()
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dynamirror", *self._arguments],
                env=self._environ,
                stdout=output,
                stderr=output,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if error is not None:
            error.add_note(f"--- output of the command ---\n{self.output[-6000:]}")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process, once entered."""
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        """Everything printed so far, both streams."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; returns the exit code and how many seconds the end took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        return code, time.monotonic() - begun

    def alive(self) -> None:
        """Fail with what was printed when the process has ended."""
        code = self.process.poll()
        assert code is None, f"the command ended with {code}:\n{self.output[-6000:]}"


def bare_environ(access_key: str) -> dict[str, str]:
    """An environment with these credentials and no others: no profile, no metadata service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DYNAMIRROR_"))}
    return kept | {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def wait_until(condition: Callable[[], bool], timeout_s: float, command: Command | None = None) -> float:
    """Poll until `condition` holds; returns how long it took. Fails when it does not, or the command has died."""
    begun = time.monotonic()
    while not condition():
        if command is not None:
            command.alive()
        assert time.monotonic() - begun < timeout_s, f"did not come true within {timeout_s} s"
        time.sleep(0.05)
    return time.monotonic() - begun
