"""`--processes`: workers on one machine, each a process of its own, and the supervisor that starts them, starts again
what died, ends them together and shows their figures. What follows from what is in model/processes.

It knows nothing of the task: the workers share it through the lease table, as on many machines (docs/decisions/0018).
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from dynamirror.engines.child import ANSWER_S, Child, Program, start_child
from dynamirror.engines.launch import set_up_task_logs
from dynamirror.engines.lifeline import STOP_S
from dynamirror.engines.stop_signals import stop_by_signals
from dynamirror.engines.told import served
from dynamirror.errors import ExitCode
from dynamirror.model.health import Problem
from dynamirror.model.processes import Again, Ended, Seen, after, at_stop, ended_with, health_of, worst
from dynamirror.observe.processes import ProcessFigures
from dynamirror.settings.groups import ReplicationSettings

# Until it has started a worker is asked so often whether it has.
STARTED_YET_S = 0.1
# What a page waits for at most: all are asked at once.
LOOK_S = ANSWER_S + 3.0

log = logging.getLogger("dynamirror")


def supervise(settings: ReplicationSettings, program: Program, count: int, host: str) -> int:
    """So many workers, until stopped; returns the exit code. Raises Refused before any is started."""
    set_up_task_logs(settings, f"{host}-supervisor")
    return asyncio.run(_supervised(settings, Supervisor(program, count)))


async def _supervised(settings: ReplicationSettings, supervisor: "Supervisor") -> int:
    loop = asyncio.get_running_loop()
    stop_by_signals(supervisor.stop)

    def look() -> Sequence[Seen]:
        """In a thread of the pages."""
        return asyncio.run_coroutine_threadsafe(supervisor.look(), loop).result(LOOK_S)

    def health() -> list[Problem] | None:
        try:
            return health_of(look())
        except TimeoutError:
            return [Problem("", "the supervisor does not answer")]

    async with served(settings.metrics.http, ProcessFigures(look), health):
        return await supervisor.run()


@dataclass(slots=True)
class _Place:
    """Where one worker after the other is kept."""

    number: int
    # None: it has not been started yet, or has ended.
    child: Child | None = None
    # The present one has got as far as following.
    started: bool = False
    restarts: int = 0
    # What the one before it ended with, in words; empty: there was none.
    before: str = ""


class Supervisor:
    """So many workers under one roof. Use once."""

    def __init__(self, program: Program, count: int) -> None:
        self._program = program
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._stopping = asyncio.Event()
        # The first worker has started: what is made once is there.
        self._begun = asyncio.Event()
        # The exit code of the worker whose reason ended all.
        self._over = int(ExitCode.OK)
        # Of those that were asked to end.
        self._codes: list[int] = []

    def stop(self) -> None:
        """Ask for the orderly end of all. Idempotent."""
        self._stopping.set()

    async def run(self) -> int:
        """Until stopped, or until a worker ends for a reason that all share; the exit code."""
        async with asyncio.TaskGroup() as group:
            for place in self._places:
                group.create_task(self._keep(place))
        return self._over or worst(self._codes)

    async def look(self) -> Sequence[Seen]:
        """How all of them are, in the order of their numbers."""
        return await asyncio.gather(*(self._see(place) for place in self._places))

    async def _keep(self, place: _Place) -> None:
        """Worker after worker at one place."""
        if place is not self._places[0]:
            # Tables that all of them would make are made by the first one.
            await self._unless_stopping(self._begun.wait())
        failures = 0
        while not self._stopping.is_set():
            ended = await self._run_one(place)
            if self._stopping.is_set():
                self._codes.append(at_stop(ended.code, ended.started))
                return
            others = any(other.started for other in self._places)
            follows = after(ended, failures, others)
            if not isinstance(follows, Again):
                self._end_all(place, follows.code)
                return
            failures = follows.failures
            place.before, place.restarts = ended_with(ended.code), place.restarts + 1
            self._tell_restart(place, ended, follows.after_s)
            await self._unless_stopping(asyncio.sleep(follows.after_s))

    async def _run_one(self, place: _Place) -> Ended:
        """A worker from its start to its end, which is asked for when all are to stop."""
        clock = asyncio.get_running_loop().time
        begun_s = clock()
        try:
            child = place.child = await start_child(self._program, place.number)
        except OSError as error:
            log.error(
                "process %d cannot be started: %s",
                place.number,
                error.strerror,
                extra={"event": "process_not_started", "facts": {"process": place.number}},
            )
            return Ended(int(ExitCode.INTERNAL), clock() - begun_s, started=False)
        watch = asyncio.create_task(self._watch_start(place, child))
        try:
            await self._unless_stopping(child.ended())
            code = await _stopped(child) if self._stopping.is_set() else await child.ended()
            return Ended(code, clock() - begun_s, place.started)
        finally:
            watch.cancel()
            place.child, place.started = None, False
            child.close()

    async def _watch_start(self, place: _Place, child: Child) -> None:
        """Until it has started."""
        while True:
            told = await child.ask()
            if told is not None and told.started:
                break
            await asyncio.sleep(STARTED_YET_S)
        place.started = True
        if not self._begun.is_set():
            self._begun.set()
            log.info(
                "process %d has started; %d in all",
                place.number,
                len(self._places),
                extra={"event": "processes_started", "facts": {"processes": len(self._places)}},
            )

    async def _see(self, place: _Place) -> Seen:
        told = await place.child.ask() if place.child is not None else None
        return Seen(place.number, told, _trouble(place, told is not None), place.restarts)

    def _end_all(self, place: _Place, code: int) -> None:
        """The reason was told by whoever had it; the others say nothing of it."""
        if any(other.child is not None for other in self._places):
            log.warning(
                "process %d ended with %s: the others are stopped",
                place.number,
                ended_with(code),
                extra={"event": "process_ended", "facts": {"process": place.number, "exit_code": code}},
            )
        self._over = self._over or code
        self._stopping.set()

    def _tell_restart(self, place: _Place, ended: Ended, after_s: float) -> None:
        log.warning(
            "process %d ended with %s after %.0f s: it is started again in %g s",
            place.number,
            ended_with(ended.code),
            ended.ran_s,
            after_s,
            extra={"event": "process_restarted", "facts": {"process": place.number, "ended": ended.code}},
        )

    async def _unless_stopping(self, work: Coroutine[Any, Any, object]) -> None:
        """Wait for `work`; it is given up when all are to stop. What it raises is raised."""
        tasks = [asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if tasks[0].done():
            tasks[0].result()


async def _stopped(child: Child) -> int:
    """Its exit code. One that does not end in time, because it is frozen, is ended."""
    child.stop()
    ended = asyncio.create_task(child.ended())
    done, _ = await asyncio.wait({ended}, timeout=STOP_S)
    if not done:
        child.kill()
    return await ended


def _trouble(place: _Place, answers: bool) -> str:
    """See model.processes.Seen."""
    if place.child is None:
        return f"ended with {place.before}, and is started again" if place.before else ""
    if not place.started:
        # Python's own start takes longer than an answer may.
        return f"ended with {place.before}, and was started again: it has not begun yet" if place.before else ""
    return "" if answers else f"does not answer within {ANSWER_S:g} s"
