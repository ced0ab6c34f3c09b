"""Signals before there is anything to stop: they count from the program's first line on.

Called by `__main__` before anything slow is imported. Later the engines listen themselves (engines/worker,
engines/assemble_demo); until then nothing has been begun, so that the process may end where it stands.
"""

import io
import os
import signal
from collections.abc import Sequence
from types import FrameType
from typing import TextIO

# What a shell reports for a program that SIGINT ended.
INTERRUPTED = 130
# errors.ExitCode.DIFFERS, which is not imported yet.
UNFINISHED = 1


def buffered(stream: TextIO) -> TextIO:
    """The stream, or where it is unbuffered (`python -u`, PYTHONUNBUFFERED) the same one with a buffer, written at each
    line: what a pipe takes of a long text in one go is not all of it, and without a buffer nobody writes the rest."""
    raw = getattr(stream, "buffer", None)
    if not isinstance(raw, io.RawIOBase):
        return stream
    writer = io.BufferedWriter(raw)
    return io.TextIOWrapper(writer, encoding=stream.encoding, errors=stream.errors, line_buffering=True)


def listen(words: Sequence[str]) -> None:
    """End at once on SIGTERM and SIGINT: with 0 where the command line means `replicate`, which an orderly stop is, and
    for `status --watch`, which has no other end; with 1 for `copy`, which is not over."""
    replicates = not words or words[0] == "replicate" or words[0].startswith("--")
    watches = list(words[:1]) == ["status"] and any(word.partition("=")[0] == "--watch" for word in words)
    code = 0 if replicates or watches else UNFINISHED if words[0] == "copy" else INTERRUPTED

    def leave(_signal: int, _frame: FrameType | None) -> None:
        # Not by an exception: one that is raised while modules are imported, or objects go, may be lost.
        os._exit(code)

    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)
