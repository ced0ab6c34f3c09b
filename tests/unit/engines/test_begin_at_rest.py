"""How a copy at rest begins, and that it shares nothing with a following task of its name."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from dynamirror.aws.connect import Connections
from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.state_rows import Incarnation, at_rest
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.assemble_at_rest import settings_in_force
from dynamirror.engines.begin_at_rest import begun_at_rest
from dynamirror.errors import Side, Stop
from dynamirror.model.copy import Copy, Phase, Segment
from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.model.worker_row import WorkerRow
from dynamirror.ports import TableFacts
from dynamirror.settings.at_rest import settings_at_rest
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.virtual_time import VirtualClock
from tests.support.memory_caller import DatedCaller, MemoryCaller, create_table
from tests.unit.engines.test_preflight_at_rest import FLAGS

TABLE = TableFacts("arn", "id", KeySchema(KeyAttribute("pk", "S")), "ACTIVE")
LIFE = at_rest(TABLE, replace(TABLE, table_id="there"))


class World:
    """A destination and a state table in memory."""

    def __init__(self, **flags: Any) -> None:
        self.settings = settings_at_rest(FLAGS | flags, now_ms=0)
        self.database = MemoryDynamoDB()
        create_table(self.database, "Copy", {"pk": "S"})
        create_table(self.database, self.settings.source.table, {"pk": "S"})
        create_table(self.database, "state", {"kind": "S", "id": "S"})
        self.state = MemoryCaller(Side.STATE, self.database)
        sides = {
            "destination": MemoryCaller(Side.DESTINATION, self.database),
            "source": DatedCaller(Side.SOURCE, self.database, 1_700_000_000.0),
        }
        self.connections = cast(Connections, SimpleNamespace(**sides))
        self.store = CopyRows(self.state, "state", LIFE)

    async def begin(self) -> Copy:
        return await begun_at_rest(self.connections, self.store, self.settings, VirtualClock())

    def put(self) -> None:
        request = {"TableName": "Copy", "Item": {"pk": {"S": "mine"}}}
        assert self.database.answer("PutItem", msgspec.json.encode(request)).status == 200


async def test_pages_may_be_read_at_once() -> None:
    world = World(segments=7)
    copy = await world.begin()
    assert (copy.phase, copy.segments, copy.began_ms) == (Phase.COPYING, 7, 1_700_000_000_000)
    assert copy.held_s == settings_in_force(world.settings).hold.hold_s
    assert copy.hold_s == settings_in_force(world.settings).hold.hold_s
    world.put()
    assert await world.begin() == copy, "its own items are no hindrance"


async def test_a_destination_with_items_is_refused_unless_that_is_allowed() -> None:
    world = World()
    world.put()
    with pytest.raises(Stop, match="--allow-non-empty"):
        await world.begin()
    assert await world.store.copy() is None
    allowed = World(allow_non_empty=True)
    allowed.put()
    assert not (await allowed.begin()).was_empty


async def test_the_items_of_a_fellow_that_began_at_the_same_moment_are_no_hindrance() -> None:
    world = World()
    fellow = Copy(Phase.COPYING, 4, 0, True)
    absent: list[Copy | None] = [None]

    async def copy() -> Copy | None:
        return absent.pop() if absent else fellow

    world.put()
    world.store.copy = copy  # type: ignore[method-assign]
    assert await world.begin() == fellow


async def test_neither_life_sees_or_writes_over_the_other() -> None:
    """A copy that is beside a following task, or was: its rows are other rows."""
    world = World()
    following = Incarnation("leases", "stream")
    theirs, their_state = CopyRows(world.state, "state", following), StateTable(world.state, "state", following)
    announced = Copy(Phase.ANNOUNCED, 2, 5, True)
    await theirs.put_copy(announced, None)
    await theirs.make_segment(Segment(0))
    await their_state.beat("w", WorkerRow(3), {})
    assert await world.store.copy() is None
    ours, our_state = await world.begin(), StateTable(world.state, "state", LIFE)
    await world.store.make_segment(Segment(0))
    await world.store.put_segment(Segment(0).claimed("w"), Segment(0))
    await our_state.beat("w", WorkerRow(9), {})
    assert (await theirs.copy(), await theirs.segments()) == (announced, [Segment(0)])
    assert (await world.store.copy(), await world.store.segments()) == (ours, [Segment(0).claimed("w")])
    assert (await their_state.beats(), await our_state.beats()) == ({"w": 3}, {"w": 9})


def test_what_is_done_is_over_when_no_page_can_land_any_more() -> None:
    """A worker that lost its segment sends until D after its reading; T + L later nothing is on its way."""
    usual = settings_in_force(settings_at_rest(FLAGS, now_ms=0))
    assert usual.hold.hold_s == usual.copy.page_life_s + usual.write.attempt_timeout_s + usual.write.stray_life_s
    longer = settings_in_force(settings_at_rest(FLAGS | {"stray_life": "300s"}, now_ms=0))
    assert longer.hold.hold_s == usual.hold.hold_s + 270
