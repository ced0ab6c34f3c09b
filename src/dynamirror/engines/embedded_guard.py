"""Runs a program for as long as this script's standard input stays open.

`python embedded_guard.py FOLDER COMMAND...`: whoever started it holds the other end of the pipe. The operating
system closes that end however the holder ends, also by kill -9, on Linux and macOS alike; then the program is
killed and FOLDER removed. Run by path, not as a module: it needs nothing but the standard library.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from types import FrameType


def main(folder: str, command: list[str]) -> int:
    """Run `command` to its end; returns its exit code (negative: the signal that ended it)."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=folder)
    deserted = threading.Event()

    def end(_signal: int = 0, _frame: FrameType | None = None) -> None:
        deserted.set()
        child.kill()

    def watch() -> None:
        while os.read(0, 1024):
            pass
        end()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    # A program that ended by itself leaves its last words in the folder, for the holder to read.
    if deserted.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
