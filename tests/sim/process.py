"""A process of the fleet, of whichever tool: it is started, and killed; its tasks die with it."""

import asyncio
import random
from abc import ABC, abstractmethod
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self

from dynamirror.errors import Side
from dynamirror.testing.virtual_time import VirtualClock
from tests.sim.cloud import Cloud
from tests.sim.network import Machine, Weather, Wire
from tests.support.memory_caller import MemoryCaller

_PROCESS: ContextVar["Process | None"] = ContextVar("process", default=None)


def of_its_process(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    """A task factory: tasks belong to the process that makes them."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **more)
    process = _PROCESS.get()
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(process.tasks.pop)
    return task


class MachineClock(VirtualClock):
    """The clocks of a machine. A timer that is due while it is frozen fires at the thaw."""

    def __init__(self, machine: Machine, draw: random.Random, date_off_s: float) -> None:
        super().__init__(
            draw.uniform(10, 1e6), 1.7e9 + draw.uniform(-date_off_s, date_off_s), 1 + draw.uniform(-0.001, 0.001)
        )
        self._machine = machine

    async def sleep(self, delay_s: float) -> None:
        await super().sleep(delay_s)
        await self._machine.awake()


class Process(ABC):
    """From its start to its end; a restart is a new one."""

    # What befalls its requests.
    weather: Weather

    def __init__(self, cloud: Cloud, name: str) -> None:
        self.name = name
        self.cloud = cloud
        self.machine = Machine(name)
        self.machine.on_death = self._died
        self.task: asyncio.Task[None] | None = None
        self.dying: asyncio.Task[None] | None = None
        self.tasks: dict[asyncio.Task[Any], None] = {}

    @abstractmethod
    async def _run(self) -> None: ...

    @abstractmethod
    def follows(self) -> set[tuple[str, str]]:
        """Its name, with each shard that it follows."""

    @property
    def alive(self) -> bool:
        return not self.machine.dead and self.task is not None and not self.task.done()

    def start(self) -> Self:
        token = _PROCESS.set(self)
        self.task = asyncio.create_task(self._run(), name=self.name)
        _PROCESS.reset(token)
        return self

    async def kill(self) -> None:
        """As kill -9: no last word; what has left goes on by itself."""
        if not self.machine.dead:
            self.machine.die()
        if self.dying is not None and self.dying is not asyncio.current_task():
            await self.dying
        elif self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self.task
            # A process takes with it whatever would have outlived its main task.
            for task in list(self.tasks):
                task.cancel()

    def _died(self) -> None:
        # Not one of its own tasks, though one of them may be calling.
        token = _PROCESS.set(None)
        self.dying = asyncio.create_task(self.kill(), name=f"end of {self.name}")
        _PROCESS.reset(token)

    def _caller(self, side: Side, place: str) -> MemoryCaller:
        return MemoryCaller(side, self.cloud.database, self._wire(side, place))  # type: ignore[arg-type]

    def _wire(self, side: Side, place: str) -> Wire:
        return Wire(self.machine, side, place, self.weather, self.cloud.checks)
