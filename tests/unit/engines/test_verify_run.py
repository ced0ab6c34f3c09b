"""Pass after pass, on virtual time and tables in memory."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec
import pytest

from dynamirror.engines.assemble_verify import Verified, VerifyParts
from dynamirror.engines.verify_options import VerifyOptions, VerifyResult
from dynamirror.engines.verify_report import Report
from dynamirror.engines.verify_run import PASS_EVERY_S, Passes, Told
from dynamirror.engines.verify_state import Patience, VerifyState
from dynamirror.errors import ExitCode, Side
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.parked import Parked
from dynamirror.model.verify import Lives
from dynamirror.ports import Clock, TableFacts
from dynamirror.prove.recent_keys import RecentKeys
from dynamirror.prove.verify_tools import VerifyTools
from dynamirror.settings.parse import settings_from
from dynamirror.testing.memory_items import MemoryItems
from dynamirror.testing.memory_scan import MemoryScan
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.parking import Lot

SCHEMA = KeySchema(KeyAttribute("pk", "S"))
CODEC = KeyCodec(SCHEMA)
NAMES = {"source_region": "us-east-1", "destination_region": "eu-west-1"}
SETTINGS = settings_from(
    NAMES | {"source_table": "Orders", "destination_table": "Copy"}, java_form=False, now_ms=1_700_000_000_000
)


def items(*numbers: int) -> dict[Key, Item]:
    found: list[Item] = [{"pk": {"S": str(number)}} for number in numbers]
    return {CODEC.of(msgspec.json.encode(item)): item for item in found}


class World:
    def __init__(self, path: Path | None = None) -> None:
        self.source, self.destination = items(*range(20)), items(*range(20))
        self.clock = VirtualClock()
        self.report = Report(path, self.clock.wall_s)

    def passes(self, options: VerifyOptions) -> Passes:
        tables = {Side.SOURCE: self.source, Side.DESTINATION: self.destination}
        random = Random(1).random
        patience = Patience(options.patience_s, SETTINGS, self.clock)
        tools = VerifyTools(
            {side: MemoryScan(CODEC, table) for side, table in tables.items()},
            {side: MemoryItems(table) for side, table in tables.items()},
            CODEC,
            self.clock,
            random,
            patience.now_s,
            Lives(),
            self.report,
        )

        def recent(_: float) -> RecentKeys:
            return RecentKeys(MemoryStream(self.clock), CODEC, self.clock, random, 0.0, lambda: 0.0)

        parts = VerifyParts(self.clock, random, tools, patience, None, None, None, recent)
        facts = Verified(_facts("a"), _facts("b"), Lives(), None)
        return Passes(parts, facts, options, Told(self.report))


def _facts(name: str) -> TableFacts:
    return TableFacts(f"arn:{name}", name, SCHEMA, "ACTIVE", items=20)


def took_s(clock: Clock, begun_s: float) -> float:
    return clock.boottime_s() - begun_s


def test_pass_follows_pass_until_the_time_is_over() -> None:
    async def body() -> tuple[VerifyResult, float]:
        world = World()
        begun_s = world.clock.boottime_s()
        result = await world.passes(VerifyOptions(continuous_s=600.0)).run()
        return result, took_s(world.clock, begun_s)

    result, seconds = run_virtual(body())
    assert result.exit_code is ExitCode.OK
    assert result.passes == pytest.approx(600 / PASS_EVERY_S, abs=1)
    assert 600 - PASS_EVERY_S <= seconds <= 600


def test_one_pass_that_finds_a_difference_is_enough_for_the_exit_code() -> None:
    async def body() -> VerifyResult:
        world = World()
        lost = world.destination.popitem()

        async def mend() -> None:
            await asyncio.sleep(300)
            world.destination.update([lost])

        mending = asyncio.create_task(mend())
        result = await world.passes(VerifyOptions(continuous_s=900.0)).run()
        await mending
        return result

    result = run_virtual(body())
    assert result.exit_code is ExitCode.DIFFERS
    assert result.remaining in range(1, 6)
    assert result.tally.missing == 0, "the last pass is clean"
    assert [str(found) for found in result.first][:1] == ["pk=19: missing"]


def test_without_a_difference_one_pass_takes_no_patience() -> None:
    async def body() -> tuple[VerifyResult, float]:
        world = World()
        begun_s = world.clock.boottime_s()
        return await world.passes(VerifyOptions()).run(), took_s(world.clock, begun_s)

    result, seconds = run_virtual(body())
    assert (result.passes, result.tally.source_items, result.tally.destination_items) == (1, 20, 20)
    assert seconds < 1


class Copies:
    """The copy's row."""

    def __init__(self, copy: Copy | None) -> None:
        self.value = copy

    async def copy(self) -> Copy | None:
        return self.value


def test_the_patience_is_longer_while_a_copy_holds_changes_back() -> None:
    async def body() -> list[float]:
        patience = Patience(60.0, SETTINGS, VirtualClock())
        found = []
        for copy in (None, *(Copy(phase, 4, 0, True) for phase in Phase)):
            await patience.look(Copies(copy))
            found.append(patience.now_s())
        return found

    longer_s = 60.0 + SETTINGS.hold.hold_s + SETTINGS.write.settle_s
    assert run_virtual(body()) == [60.0, longer_s, longer_s, longer_s, 60.0]


@pytest.mark.parametrize("row_s,longer_s", [(SETTINGS.hold.hold_s + 30, 30.0), (SETTINGS.hold.hold_s - 10, 0.0)])
def test_it_follows_the_longest_hold_of_the_task(row_s: float, longer_s: float) -> None:
    async def body() -> float:
        patience = Patience(60.0, SETTINGS, VirtualClock())
        await patience.look(Copies(Copy(Phase.COPYING, 4, 0, True, hold_s=row_s)))
        return patience.now_s()

    assert run_virtual(body()) == 60.0 + SETTINGS.hold.hold_s + longer_s + SETTINGS.write.settle_s


def test_parked_items_are_looked_at_whenever_they_were_changed() -> None:
    """One was changed before the moment asked for, and is missing; of the other a row is left over."""

    async def body() -> VerifyResult:
        world, store = World(), Lot().store()
        for number in (3, 4):
            await store.park(Parked(str(number), {"pk": {"S": str(number)}}, "1", "too large", 0, "w", 0, 0), b"")
        del world.destination[CODEC.of(b'{"pk":{"S":"3"}}')]
        passes = world.passes(VerifyOptions(since_s=60.0))
        state = VerifyState(cast(Any, None), cast(Any, None), cast(Any, None), [store], cast(Any, None), "")
        passes._parts = replace(passes._parts, state=state)
        return await passes.run()

    result = run_virtual(body())
    assert result.exit_code is ExitCode.DIFFERS
    assert [str(found) for found in result.first] == ["pk=3: missing"]
    assert (result.tally.suspects, result.parked) == (2, 2)
