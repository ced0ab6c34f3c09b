"""Two tables, an application, an applier, and workers that reconcile, on virtual time: what the tests here share."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from dynamirror.errors import Side, Unanswered
from dynamirror.model.diff import Item
from dynamirror.model.item_key import ItemKey, ItemKeys
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.worker_row import WorkerRow
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import ItemsRead
from dynamirror.prove.heal import same
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.tools import Claims, ReconcileTools
from dynamirror.settings.groups import WriteSettings
from dynamirror.testing.faults import Fault, Faults, Line, no_faults
from dynamirror.testing.memory_items import MemoryItems
from dynamirror.testing.memory_state import MemoryState
from dynamirror.testing.virtual_time import VirtualClock

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))
LATENCY_S = 0.01
# T + L = 5 s: the rules do not depend on the times, and runs are shorter.
SETTINGS = WriteSettings(attempt_timeout_s=1.0, stray_life_s=4.0, clock_drift_s=0.5)
SILENCE_S = 10.0
BEAT_S = 2.0

T = TypeVar("T")


def key_of(key: str) -> ItemKey:
    return ItemKeys(CODEC).of(keys_json(key))


def keys_json(key: str) -> bytes:
    return msgspec.json.encode({"id": {"S": key}})


def item(key: str, value: str | None) -> Item | None:
    return None if value is None else {"id": {"S": key}, "v": {"S": value}}


class World:
    """What stands where. The applier is perfect: what reconcile has to mend is planted by the tests."""

    def __init__(self) -> None:
        self.source: dict[Key, Item] = {}
        self.destination: dict[Key, Item] = {}
        self.state = MemoryState()
        # What each worker's replacements made of the destination, in order.
        self.replaced: list[tuple[str, Key, Item | None]] = []
        self._applied_until_s: dict[str, float] = {}

    def set_source(self, key: str, value: str | None) -> None:
        """The application changes an item, and nothing is applied yet."""
        put(self.source, key, value)

    def set_destination(self, key: str, value: str | None) -> None:
        put(self.destination, key, value)

    def change(self, key: str, value: str | None, lag_s: float = 0.0) -> None:
        """The application changes an item; the applier follows after the lag, in order."""
        self.set_source(key, value)
        loop = asyncio.get_running_loop()
        # Never two at one moment: the loop does not keep their order.
        at_s = max(loop.time() + lag_s, self._applied_until_s.get(key, 0.0) + 1e-6)
        self._applied_until_s[key] = at_s
        if at_s <= loop.time():
            self.set_destination(key, value)
        else:
            loop.call_at(at_s, self.set_destination, key, value)

    def differences(self) -> list[Key]:
        keys = self.source.keys() | self.destination.keys()
        return [key for key in keys if not same(self.source.get(key), self.destination.get(key))]

    async def equal(self) -> None:
        """Wait until there is no difference."""
        for _ in range(10_000):
            if not self.differences():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"still different: {self.differences()}")


def put(table: dict[Key, Item], key: str, value: str | None) -> None:
    new = item(key, value)
    if new is None:
        table.pop(key, None)
    else:
        table[key] = new


class ProcessLine(Line):
    """The line of a process that may be frozen, and die: what was on its way then lands all the same, `landing_s`
    later (None: never)."""

    def __init__(self, faults: Faults, process: "Process") -> None:
        super().__init__(faults, LATENCY_S)
        self._process = process

    async def call(self, operation: str, effect: Callable[[Fault], T]) -> T:
        """A frozen process sends nothing, and hears the answers when it thaws."""
        await self._process.thawed()
        try:
            return await self._call(operation, effect)
        finally:
            await self._process.thawed()

    async def _call(self, operation: str, effect: Callable[[Fault], T]) -> T:
        arrived = False

        def once(fault: Fault) -> T:
            nonlocal arrived
            arrived = True
            return effect(fault)

        try:
            return await super().call(operation, once)
        except asyncio.CancelledError:
            landing_s = self._process.landing_s()
            if not arrived and landing_s is not None:
                asyncio.get_running_loop().call_later(landing_s, self._unheard, effect)
            raise

    @staticmethod
    def _unheard(effect: Callable[[Fault], object]) -> None:
        with suppress(Exception):
            effect(Fault())


class Process:
    """What all lines of a worker share."""

    def __init__(self, landing_s: Callable[[], float | None]) -> None:
        self.landing_s = landing_s
        self._thaws_at_s = 0.0

    def freeze(self, for_s: float) -> None:
        self._thaws_at_s = asyncio.get_running_loop().time() + for_s

    async def thawed(self) -> None:
        left_s = self._thaws_at_s - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.sleep(left_s)
            await self.thawed()


class Switch:
    """Faults by operation, as a test sets them: each is taken once, in order."""

    def __init__(self) -> None:
        self.next: dict[str, list[Fault | None]] = {}
        self.always: Faults = no_faults

    def __call__(self, operation: str) -> Fault | None:
        waiting = self.next.get(operation)
        return waiting.pop(0) if waiting else self.always(operation)


class Hooked(MemoryItems):
    """A table that calls back at each request, before it is sent, and remembers what was asked."""

    def __init__(self, items: dict[Key, Item], line: Line, watch: Callable[[Key, Item | None], None]) -> None:
        super().__init__(items, line, watch)
        self.reads: list[list[Key]] = []
        self.after_read: list[Callable[[], None]] = []

    async def read(self, keys: Sequence[ItemKey]) -> ItemsRead:
        self.reads.append([key.key for key in keys])
        answer = await super().read(keys)
        if self.after_read:
            self.after_read.pop(0)()
        return answer


class Worker:
    """One process with its heartbeat and its reconciler."""

    def __init__(
        self,
        world: World,
        name: str = "w1",
        state: bool = True,
        boot_s: float = 100.0,
        landing_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.world = world
        self.name = name
        self.metrics = Metrics()
        self.clock = VirtualClock(boot_s=boot_s)
        self.source_faults, self.destination_faults, self.state_faults = Switch(), Switch(), Switch()
        self.process = Process(landing_s)
        self.source = Hooked(world.source, ProcessLine(self.source_faults, self.process), lambda key, item: None)
        self.destination = Hooked(world.destination, ProcessLine(self.destination_faults, self.process), self._note)
        self.state = MemoryState(line=ProcessLine(self.state_faults, self.process), rows=world.state.rows)
        self.beats = True
        self.beaten_at_s = float("-inf")
        claims = Claims(self.state, name, lambda: self.beaten_at_s, SILENCE_S) if state else None
        draw = random.Random(name).random
        tools = ReconcileTools(self.source, self.destination, CODEC, self.clock, draw, self.metrics, SETTINGS, claims)
        self.reconciler = Reconciler(tools)
        self.task: asyncio.Task[None] | None = None

    def _note(self, key: Key, item: Item | None) -> None:
        self.world.replaced.append((self.name, key, item))

    def start(self) -> "Worker":
        self.task = asyncio.create_task(self._run())
        return self

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat())
            group.create_task(self.reconciler.run())

    async def _beat(self) -> None:
        counter = 0
        while True:
            sent_at_s = self.clock.boottime_s()
            counter += 1
            with suppress(Exception):
                if self.beats:
                    await self.state.beat(self.name, WorkerRow(counter), {})
                    self.beaten_at_s = sent_at_s
            await self.clock.sleep(BEAT_S)

    def add(self, *keys: str, ago_s: float = 0.0) -> None:
        self.reconciler.add(map(keys_json, keys), self.clock.boottime_s() - ago_s)

    def kill(self) -> None:
        """As kill -9: it says nothing more, and what it sent may be on its way."""
        if self.task is not None:
            self.task.cancel()

    async def settled(self, limit_s: float = 100.0) -> float:
        """Wait until nothing is pending; returns after how long."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        while self.reconciler.pending:
            assert loop.time() - started_s < limit_s, f"{self.reconciler} after {limit_s} s"
            assert self.task is None or not self.task.done(), "the worker has ended"
            await asyncio.sleep(0.05)
        return loop.time() - started_s

    def count(self, name: str) -> float:
        return self.metrics.value(name)


def lost(lands_after_s: float | None = None) -> Fault:
    """A request without an answer, which takes effect after so long all the same (None: never)."""
    return Fault(Unanswered(Side.DESTINATION, "injected"), lands_after_s=lands_after_s)
