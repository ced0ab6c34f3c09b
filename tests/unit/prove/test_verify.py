"""A whole verify on virtual time: tables in memory, written and replicated meanwhile, with faults on both sides."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random

import msgspec
import pytest

from dynamirror.errors import AccessDenied, Side, Stop
from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.verify import Class, Found, Lives, Tally, VerifyRun
from dynamirror.observe.metrics import Metrics
from dynamirror.prove.ledger import Ledger
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.repair import Repairer
from dynamirror.prove.tools import ReconcileTools
from dynamirror.prove.verify import Verifier
from dynamirror.prove.verify_tools import VerifyTools
from dynamirror.settings.groups import WriteSettings
from dynamirror.testing.faults import Fault, Faults, Line, SeededFaults, no_faults
from dynamirror.testing.memory_items import MemoryItems
from dynamirror.testing.memory_scan import MemoryScan
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

CODEC = KeyCodec(KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "N")))
PATIENCE_S = 60.0
LAG_S = 3.0


def item(number: int, **more: str) -> Item:
    return {"pk": {"S": f"p{number % 7}"}, "sk": {"N": str(number)}} | {
        name: {"N": text} for name, text in more.items()
    }


def key(number: int) -> Key:
    return CODEC.of(msgspec.json.encode(item(number)))


class World:
    """Two tables and what a verify of them says."""

    def __init__(self, numbers: Iterable[int], faults: Callable[[Side], Faults] = lambda _: no_faults) -> None:
        self.source: dict[Key, Item] = {key(number): item(number, a="1") for number in numbers}
        # As another service may spell the same.
        self.destination: dict[Key, Item] = {key(number): item(number, a="1.0") for number in numbers}
        self.clock = VirtualClock()
        self.reports: list[Found] = []
        self.refused: set[Key] = set()
        self._faults = faults

    @property
    def found(self) -> Mapping[Key, Class]:
        """What was reported, without the lines of mending."""
        return {CODEC.of(msgspec.json.encode(one.key)): one.kind for one in self.reports if one.mended is None}

    async def verify(
        self,
        repair: bool = False,
        keys: Callable[[Callable[[Iterable[Key]], Awaitable[None]]], Awaitable[None]] | None = None,
        lives: Lives | None = None,
    ) -> Tally:
        random = Random(1).random
        lines = {side: Line(self._faults(side), 0.01) for side in (Side.SOURCE, Side.DESTINATION)}
        tables = {Side.SOURCE: self.source, Side.DESTINATION: self.destination}
        items = {side: MemoryItems(tables[side], lines[side]) for side in tables}
        items[Side.DESTINATION].refused = self.refused
        scans = {side: MemoryScan(CODEC, tables[side], lines[side]) for side in tables}
        tools = VerifyTools(
            scans, items, CODEC, self.clock, random, lambda: PATIENCE_S, lives or Lives(), self.reports.append
        )
        settings = WriteSettings()
        here, there = items[Side.SOURCE], items[Side.DESTINATION]
        reconciler = Reconciler(ReconcileTools(here, there, CODEC, self.clock, random, Metrics(), settings, None))
        repairer = Repairer(reconciler, CODEC, self.clock, settings.settle_s) if repair else None
        ledger = Ledger(VerifyRun("1", "words", 1 if keys is not None else 8))
        verifier = Verifier(tools, ledger, repairer)
        async with asyncio.TaskGroup() as group:
            healing = group.create_task(reconciler.run())
            await (verifier.tables() if keys is None else verifier.keys(keys))
            healing.cancel()
        assert ledger.run.left() == []
        assert verifier.open == 0
        return ledger.run.tally


async def write(world: World, numbers: list[int], seed: int) -> None:
    """Traffic on some items, some of it hot, and its replication some time later; in order for each item."""
    rng = Random(seed)
    async with asyncio.TaskGroup() as group:
        for turn in range(100_000):
            await asyncio.sleep(rng.expovariate(20))
            number = rng.choice(numbers[:3]) if rng.random() < 0.5 else rng.choice(numbers)
            image = None if rng.random() < 0.3 else item(number, a=str(rng.randrange(3)), turn=str(turn % 5))
            _apply(world.source, number, image)
            group.create_task(_follow(world, number, image))


async def _follow(world: World, number: int, image: Item | None) -> None:
    await asyncio.sleep(LAG_S)
    _apply(world.destination, number, image)


def _apply(table: dict[Key, Item], number: int, image: Item | None) -> None:
    if image is None:
        table.pop(key(number), None)
    else:
        table[key(number)] = image


def plant(world: World, seed: int) -> dict[Key, Class]:
    """Differences among the items below 200, which nobody writes."""
    numbers = Random(seed).sample(range(200), 60)
    for number in numbers[:20]:
        del world.destination[key(number)]
    for number in numbers[20:40]:
        world.destination[key(number)] = item(number, a="2")
    for number in numbers[40:]:
        del world.source[key(number)]
    kinds = [Class.MISSING] * 20 + [Class.DIFFERENT] * 20 + [Class.EXTRA] * 20
    return {key(number): kind for number, kind in zip(numbers, kinds, strict=True)}


async def in_use(world: World, seed: int, repair: bool = False) -> Tally:
    writing = asyncio.create_task(write(world, list(range(200, 300)), seed))
    tally = await world.verify(repair)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    return tally


@pytest.mark.parametrize("seed", range(4))
def test_what_is_planted_is_found_and_nothing_else_while_both_are_written(seed: int) -> None:
    world = World(range(300))
    planted = plant(world, seed)
    tally = run_virtual(in_use(world, seed))
    assert world.found == planted
    assert (tally.missing, tally.different, tally.extra, tally.mended, tally.remaining) == (20, 20, 20, 0, 60)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_mended_under_faults_of_both_sides(seed: int) -> None:
    rng = Random(seed)
    world = World(range(300), lambda side: SeededFaults(rng.random, 0.1, side))
    planted = plant(world, seed)
    tally = run_virtual(in_use(world, seed, repair=True))
    assert world.found == planted
    assert (tally.found, tally.mended) == (60, 60)
    quiet = {key(number) for number in range(200)}
    for one in quiet:
        assert (one in world.source) is (one in world.destination)
    assert sum(report.mended is True for report in world.reports) == 60


def test_tables_that_are_the_same_need_no_second_look() -> None:
    world = World(range(300))
    world.destination.update({key(number): item(number, a="1") for number in range(300)})
    tally = run_virtual(world.verify())
    assert tally == Tally(source_items=300, destination_items=300)


def test_an_empty_destination_is_missing_whole() -> None:
    world = World(range(300))
    world.destination.clear()
    tally = run_virtual(world.verify(repair=True))
    assert (tally.missing, tally.mended) == (300, 300)
    assert world.destination == world.source


def test_what_the_destination_refuses_remains() -> None:
    world = World(range(50))
    del world.destination[key(7)]
    world.refused = {key(7)}
    tally = run_virtual(world.verify(repair=True))
    assert (tally.missing, tally.mended, tally.remaining) == (1, 0, 1)
    assert [report.mended for report in world.reports] == [None, False]


def test_mending_that_takes_long_is_waited_for() -> None:
    def slow(operation: str) -> Fault | None:
        return Fault(delay_s=300.0) if operation == "PutItem" else None

    world = World(range(50), lambda side: slow if side is Side.DESTINATION else no_faults)
    del world.destination[key(7)]
    tally = run_virtual(world.verify(repair=True))
    assert (tally.missing, tally.mended) == (1, 1)


def test_items_past_their_time_to_live_are_told_and_left_alone() -> None:
    world = World(range(50))
    world.source[key(7)] = item(7, ttl="1699999000")
    del world.destination[key(7)]
    tally = run_virtual(world.verify(repair=True, lives=Lives("ttl")))
    assert world.found == {key(7): Class.EXPIRED}
    assert tally.remaining == 0
    assert key(7) not in world.destination


def test_only_some_keys() -> None:
    world = World(range(50))
    del world.destination[key(7)]
    del world.destination[key(8)]

    async def recent(take: Callable[[Iterable[Key]], Awaitable[None]]) -> None:
        for _ in range(3):
            await take([key(7), key(9)])

    tally = run_virtual(world.verify(keys=recent))
    assert world.found == {key(7): Class.MISSING}
    assert (tally.source_items, tally.remaining) == (0, 1)


def test_a_side_that_may_not_be_read_ends_it() -> None:
    def denied(operation: str) -> None:
        raise AccessDenied(Side.SOURCE, f"{operation} is not allowed")

    world = World(range(50), lambda side: denied if side is Side.SOURCE else no_faults)
    with pytest.raises(BaseExceptionGroup) as failure:
        run_virtual(world.verify())
    assert failure.group_contains(Stop, match="not allowed")
