"""One worker process of a supervisor: started, asked, signalled, awaited. The other end is engines/lifeline."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dynamirror.engines.lifeline import VARIABLE
from dynamirror.model.processes import Place, Told

# So long a healthy worker takes at most to say how it is; it does so in a thread of its own.
ANSWER_S = 2.0
# Figures and problems of one worker are some 30 KB.
_ANSWER_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    """What a worker process is started with. `command`: the interpreter and everything before the words."""

    command: Sequence[str]
    words: Sequence[str]
    environ: Mapping[str, str]
    # Somebody wants to see its figures.
    pages: bool


class Child:
    """A process that was started. `close` it once it has ended."""

    def __init__(self, process: Process, asks: int, answers: asyncio.StreamReader, pipe: asyncio.ReadTransport) -> None:
        self._process = process
        self._asks = asks
        self._answers = answers
        self._pipe = pipe
        self._asked: asyncio.Task[Told | None] | None = None

    @property
    def pid(self) -> int:
        """Of the operating system."""
        return self._process.pid

    async def ask(self) -> Told | None:
        """What it tells of itself; None: nothing within ANSWER_S, or it is gone. One question at a time is under
        way."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(self._ask())
        asked = self._asked
        await asyncio.wait({asked}, timeout=ANSWER_S)
        return asked.result() if asked.done() and not asked.cancelled() else None

    async def _ask(self) -> Told | None:
        if self._asks < 0:
            return None
        try:
            os.write(self._asks, b"?")
        except BrokenPipeError:
            return None
        line = await self._answers.readline()
        return msgspec.json.decode(line, type=Told) if line.endswith(b"\n") else None

    async def ended(self) -> int:
        """Its exit code, once it has one; negative for a signal."""
        return await self._process.wait()

    def stop(self) -> None:
        """Ask for its orderly end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Let go of the pipes; a worker that were still there would stop. Idempotent."""
        if self._asked is not None:
            self._asked.cancel()
        if self._asks >= 0:
            os.close(self._asks)
            self._pipe.close()
        self._asks = -1

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)


async def start_child(program: Program, process: int) -> Child:
    """A session of its own: Ctrl-C in a terminal reaches the supervisor alone, which asks each worker once. Raises
    OSError."""
    asks_of_child, asks = os.pipe()
    answers, answers_of_child = os.pipe()
    place = Place(process, asks_of_child, answers_of_child, program.pages)
    try:
        started = await asyncio.create_subprocess_exec(
            *program.command,
            *program.words,
            env={**program.environ, VARIABLE: msgspec.json.encode(place).decode()},
            stdin=DEVNULL,
            pass_fds=(asks_of_child, answers_of_child),
            start_new_session=True,
        )
    except OSError:
        os.close(asks)
        os.close(answers)
        raise
    finally:
        # Were they open here too, their end would never be seen.
        os.close(asks_of_child)
        os.close(answers_of_child)
    reader = asyncio.StreamReader(limit=_ANSWER_BYTES_MAX)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers, "rb", buffering=0)
    )
    return Child(started, asks, reader, pipe)
