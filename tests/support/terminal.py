"""A command on a pseudo-terminal, and what its screen shows."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

# Wide enough that no line of ours is wrapped by the terminal.
_ROWS, _COLUMNS = 50, 1000
_CONTROL = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])")


class OnTerminal:
    """`with OnTerminal([...], environ) as command:` runs `dynamirror ...`, its standard error a terminal."""

    def __init__(self, arguments: list[str], environ: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._environ = {**environ, "TERM": "xterm-256color"}
        self._environ.pop("NO_COLOR", None)
        self._got: list[bytes] = []

    def __enter__(self) -> Self:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        command = [sys.executable, "-m", "dynamirror", *self._arguments]
        self.process = subprocess.Popen(command, env=self._environ, stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        self._ours = ours
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)
        os.close(self._ours)
        if error is not None:
            error.add_note(f"--- output of the command ---\n{self.output[-6000:]}")

    @property
    def output(self) -> str:
        """Everything that was sent to the terminal, controls included."""
        return b"".join(self._got).decode(errors="replace")

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def ended(self, timeout_s: float) -> int:
        """The exit code, once all output is there."""
        code = self.process.wait(timeout=timeout_s)
        self._reader.join(5)
        return code

    def _read(self) -> None:
        while True:
            try:
                got = os.read(self._ours, 65536)
            except OSError:
                # EIO: nobody has the other end any more.
                return
            if not got:
                return
            self._got.append(got)


def screen_of(output: str) -> list[str]:
    """The lines that a terminal of endless height shows after `output`, from the first on."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(output):
        control = _CONTROL.match(output, at)
        if control:
            at = control.end()
            count = int(control[2] or 1) if not control[1] and control[2].isdigit() | (control[2] == "") else 1
            if control[3] == "A":
                row = max(0, row - count)
            elif control[3] == "K":
                lines[row], column = "", 0
            continue
        mark = output[at]
        at += 1
        if mark == "\r":
            column = 0
        elif mark == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        else:
            lines[row] = lines[row][:column].ljust(column) + mark + lines[row][column + 1 :]
            column += 1
    return lines
