"""What a verify uses of the state table: the task's life, one of its own, or nothing."""

import logging
from dataclasses import replace

import pytest

from dynamirror.aws.state_rows import VERIFY_LIFE
from dynamirror.engines.verify_state import VerifyState, open_state
from dynamirror.errors import Refused
from dynamirror.model.verify import VerifyRun
from tests.support.accounts import BOTH, KEY, LEASE_KEY, LEASES, STATE, World, settings

DENIALS = [{f"describe_table {STATE}"}, {f"create_table {STATE}"}, {"PutItem"}, {f"describe_table {LEASES}"}]


@pytest.fixture
def world() -> World:
    return World()


async def opened(world: World) -> VerifyState | None:
    pair = world.source.tables["Orders"], world.destination.tables["Copy"]
    return await open_state(world, settings(), pair, world.time)


async def test_the_rows_of_a_task_are_in_its_life(world: World) -> None:
    leases = world.state.add(LEASES, LEASE_KEY)
    state = await opened(world)
    assert state is not None
    await state.rows.put_run(VerifyRun("1", "words", 4), None)
    row = world.state.rows[STATE]["verify", "run"]
    assert (row["leaseTableId"], row["streamArn"]) == ({"S": leases.table_id}, {"S": "stream of Orders"})


async def test_where_its_stream_is_off_they_still_are(world: World) -> None:
    """After a cut-over: what was parked is listed, and what is mended is a duty of the task's."""
    leases = world.state.add(LEASES, LEASE_KEY)
    world.source.add("Orders", KEY, last_stream_arn="stream of Orders")
    state = await opened(world)
    assert state is not None
    await state.rows.put_run(VerifyRun("1", "words", 4), None)
    row = world.state.rows[STATE]["verify", "run"]
    assert (row["leaseTableId"], row["streamArn"]) == ({"S": leases.table_id}, {"S": "stream of Orders"})


async def test_where_the_table_has_another_one_by_now_they_are_in_the_life_that_goes_on(world: World) -> None:
    """The old stream is followed to its end first: what is parked, copied and open is in its life."""
    leases = (await world.check()).lease_table
    orders = world.source.tables["Orders"]
    world.source.tables["Orders"] = replace(orders, stream_arn="the next", last_stream_arn="the next")
    state = await opened(world)
    assert state is not None
    await state.rows.put_run(VerifyRun("1", "words", 4), None)
    row = world.state.rows[STATE]["verify", "run"]
    assert (row["leaseTableId"], row["streamArn"]) == ({"S": leases.table_id}, {"S": "stream of Orders"})


@pytest.mark.parametrize("stream", [True, False])
async def test_without_a_task_they_are_in_a_life_of_the_source_tables_own(world: World, stream: bool) -> None:
    if not stream:
        world.source.add("Orders", KEY)
    state = await opened(world)
    assert state is not None
    await state.rows.put_run(VerifyRun("1", "words", 4), None)
    row = world.state.rows[STATE]["verify", "run"]
    source = world.source.tables["Orders"]
    assert (row["leaseTableId"], row["streamArn"]) == ({"S": source.table_id}, {"S": VERIFY_LIFE})
    assert LEASES not in world.state.tables, "a verify begins no task"


async def test_a_task_that_begins_later_goes_through(world: World) -> None:
    await opened(world)
    assert (await world.check()).state is not None
    assert await opened(world) is not None


async def test_the_pair_stays_in_the_life_of_the_task(world: World) -> None:
    """Its workers take another life of that row for the end of theirs; they may read on what a stream has left."""
    await world.check()
    before = dict(world.state.rows[STATE]["task", "pair"])
    orders = world.source.tables["Orders"]
    world.source.tables["Orders"] = replace(orders, stream_arn=None, stream_view_type=None)
    assert await opened(world) is not None
    assert world.state.rows[STATE]["task", "pair"] == before


async def test_the_name_of_another_pairs_task_is_refused(world: World) -> None:
    await world.check()
    world.destination.add("Copy", KEY, stream_view_type=BOTH)
    other = world.source.tables["Orders"], world.destination.add("Elsewhere", KEY)
    with pytest.raises(Refused, match="belongs to another pair"):
        await open_state(world, settings(), other, world.time)


@pytest.mark.parametrize("denied", DENIALS, ids=lambda denied: min(denied).split()[0])
async def test_without_the_rights_it_goes_on_and_says_so(
    world: World, denied: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.state.denied = denied
    caplog.set_level(logging.WARNING)
    assert await opened(world) is None
    [line] = [record for record in caplog.records if record.name == "dynamirror.verify"]
    assert "a verify that is ended begins anew" in line.getMessage()
