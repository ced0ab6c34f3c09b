"""`--copy`: what is announced, where the stream is followed from, and what is refused."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from msgspec import Raw

from dynamirror.aws.connect import Connections
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.engines.begin_copy import SLACK_MS, begun, copy_rows
from dynamirror.engines.preflight import Facts
from dynamirror.errors import Refused, Side, Stop
from dynamirror.model.change import Record, StreamRecord
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.model.lease import TRIM_HORIZON, Lease, Terms
from dynamirror.model.shard_graph import Start
from dynamirror.model.skip import Skip
from dynamirror.ports import TableFacts
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.settings.parse import settings_from
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.memory_caller import DatedCaller, MemoryCaller, create_table

SERVED_S = 1_700_000_500.0
FLAGS: dict[str, Any] = {
    "source_region": "us-east-1",
    "source_table": "Orders",
    "destination_region": "eu-west-1",
    "destination_table": "Copy",
    "copy": True,
}


class World:
    """One DynamoDB in memory for all sides."""

    def __init__(self, **flags: Any) -> None:
        self.settings = settings_from({**FLAGS, **flags}, java_form=False, now_ms=0)
        self.database = MemoryDynamoDB()
        lease_table = self.settings.task.lease_table
        create_table(self.database, "Copy", {"pk": "S"})
        create_table(self.database, lease_table, {"leaseKey": "S"})
        create_table(self.database, f"{lease_table}-state", {"kind": "S", "id": "S"})
        create_table(self.database, "Orders", {"pk": "S"})
        self.source = DatedCaller(Side.SOURCE, self.database, SERVED_S)
        sides = {
            "state": MemoryCaller(Side.STATE, self.database),
            "destination": MemoryCaller(Side.DESTINATION, self.database),
            "source": self.source,
        }
        self.connections = cast(Connections, SimpleNamespace(**sides))
        table = TableFacts("arn", "id", KeySchema(KeyAttribute("pk", "S")), "ACTIVE")
        self.facts = Facts(table, table, "stream", table, cast(Any, object()))
        self.store = copy_rows(self.connections, self.facts, self.settings)
        self.leases = LeaseTable(self.connections.state, lease_table)

    async def begin(self) -> ReplicationSettings:
        return await begun(self.connections, self.facts, self.settings, VirtualClock(), "w1")

    def put(self, item: dict[str, Any]) -> None:
        answer = self.database.answer("PutItem", msgspec.json.encode({"TableName": "Copy", "Item": item}))
        assert answer.status == 200


async def test_a_copy_into_an_empty_table_is_announced_and_the_stream_followed_from_then() -> None:
    world = World(segments=7)
    settings = await world.begin()
    copy = await world.store.copy()
    assert copy is not None
    assert (copy.phase, copy.segments, copy.was_empty) == (Phase.ANNOUNCED, 7, True)
    assert (copy.hold_s, copy.announced_by) == (world.settings.hold.hold_s, "w1")
    # By the service's clock, which nobody has asked before, and not this machine's.
    assert copy.began_ms == int(SERVED_S * 1000)
    assert settings.read.start == Start(TRIM_HORIZON, copy.began_ms - SLACK_MS)
    assert settings.copy == world.settings.copy


@pytest.mark.parametrize("stray_life,hold_s", [("30s", 60.0), ("300s", 330.0)])
async def test_the_announcement_says_for_how_long_changes_wait(stray_life: str, hold_s: float) -> None:
    """Those who announce nothing may have another --stray-life."""
    world = World(stray_life=stray_life)
    await world.begin()
    for _ in range(2):
        copy = await world.store.copy()
        assert copy is not None
        assert copy.hold_s == world.settings.hold.hold_s == hold_s
        world.settings = settings_from({**FLAGS, "stray_life": stray_life, "segments": 5}, java_form=False, now_ms=0)
        await world.begin()


async def test_a_second_start_goes_on_with_the_first_ones_beginning() -> None:
    """E-2: judged by a later beginning, a delete between the two would be skipped; and the copy has items by now."""
    world = World()
    first = await world.begin()
    world.put({"pk": {"S": "copied"}})
    world.source.now_s += 3600
    assert await world.begin() == first


async def test_a_stamp_rounded_down_and_a_clock_behind_do_not_put_a_change_out_of_reach() -> None:
    """E-3: 1 the copy begins; 2 a delete made since is stamped before it, rounded to its minute by a clock that is
    five minutes behind; 3 skipped as older than the copy, it would leave the item that the copy has read."""
    settings = await World().begin()
    made_ms = int(SERVED_S * 1000) + 1
    stamp_s = (made_ms - 5 * 60_000) // 60_000 * 60
    delete = Record("REMOVE", StreamRecord(Raw(b"{}"), "1", created_s=stamp_s))
    assert Skip(settings.read.start.at_ms).wanted([delete]) == [delete]
    assert Skip(int(SERVED_S * 1000)).wanted([delete]) == (), "without the slack it would be skipped"


async def test_a_destination_with_items_is_refused() -> None:
    world = World()
    world.put({"pk": {"S": "mine"}})
    with pytest.raises(Stop, match="--allow-non-empty") as refused:
        await world.begin()
    assert refused.value.side is Side.DESTINATION
    assert await world.store.copy() is None


async def test_over_items_nothing_of_the_stream_is_skipped() -> None:
    """E-1: an item deleted at the source shortly before the copy would stay at the destination."""
    world = World(allow_non_empty=True)
    world.put({"pk": {"S": "mine"}})
    settings = await world.begin()
    assert settings.read.start == Start()
    copy = await world.store.copy()
    assert copy is not None
    assert not copy.was_empty


async def test_beside_a_worker_that_does_not_wait_no_copy_begins() -> None:
    world = World()
    await world.leases.create(Lease("shardId-00000001700000000000-a", TRIM_HORIZON, "java", 3))
    with pytest.raises(Stop, match="java"):
        await world.begin()
    assert await world.store.copy() is None


async def test_beside_our_own_workers_it_does() -> None:
    world = World()
    terms = Terms("fellow", 10_000, heartbeat=True)
    await world.leases.create(Lease("shardId-00000001700000000000-a", TRIM_HORIZON, "fellow", 3, terms=terms))
    await world.begin()
    assert await world.store.copy() is not None


async def test_without_a_state_table_there_is_no_copy() -> None:
    world = World()
    world.facts = replace(world.facts, state=None)
    with pytest.raises(Refused, match="--copy needs the state table"):
        await world.begin()


async def test_without_the_flag_nothing_is_looked_at() -> None:
    world = World(copy=False)
    assert await world.begin() == world.settings
    assert await world.store.copy() is None


def following(world: World) -> World:
    """The next life of the task, begun without a copy."""
    world.settings = replace(world.settings, copy=replace(world.settings.copy, wanted=False))
    world.facts = replace(world.facts, lease_table=replace(world.facts.lease_table, table_id="new leases"))
    return world


@pytest.mark.parametrize("hold_s", [0.0, 90.0])
def test_after_a_former_copy_nothing_is_applied_until_what_it_sent_has_landed(hold_s: float) -> None:
    """Every worker that starts meanwhile waits its own time; the one that has waited removes the row."""

    async def steps() -> None:
        world, loop = World(), asyncio.get_running_loop()
        await world.store.put_copy(Copy(Phase.COPYING, 4, 0, True, hold_s=hold_s), None)
        following(world)
        wait_s = max(hold_s, world.settings.hold.hold_s) + world.settings.write.clock_drift_s
        first = asyncio.create_task(world.begin())
        await asyncio.sleep(20)
        second_at_s = loop.time()
        second = asyncio.create_task(world.begin())
        assert await first == world.settings
        assert loop.time() == pytest.approx(wait_s)
        assert await world.store.copy() is None
        await second
        assert loop.time() - second_at_s == pytest.approx(wait_s)
        await world.begin()
        assert loop.time() - second_at_s == pytest.approx(wait_s)

    run_virtual(steps())


def test_a_former_copy_that_was_over_delays_nothing_nor_does_one_without_a_state_table() -> None:
    async def steps() -> None:
        world = World()
        await world.store.put_copy(Copy(Phase.OVER, 4, 0, True), None)
        await following(world).begin()
        other = World()
        await other.store.put_copy(Copy(Phase.COPYING, 4, 0, True), None)
        following(other).facts = replace(other.facts, state=None)
        await other.begin()
        assert asyncio.get_running_loop().time() == 0

    run_virtual(steps())


async def test_a_copy_of_the_new_life_writes_over_the_former_one_and_is_not_forgotten() -> None:
    world = World()
    former = Copy(Phase.COPYING, 4, 0, True)
    await world.store.put_copy(former, None)
    following(world)
    store = copy_rows(world.connections, world.facts, world.settings)
    assert await store.former() == former
    announced = replace(former, phase=Phase.ANNOUNCED)
    await store.put_copy(announced, None)
    await store.forget(former)
    assert await store.former() is None
    assert await store.copy() == announced
