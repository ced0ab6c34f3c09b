"""A copy into items that nobody allowed is refused before a table is made or a stream switched on; a task that has
begun its copy starts again among its own items."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.state_rows import Incarnation, at_rest
from dynamirror.engines.preflight import check
from dynamirror.engines.preflight_at_rest import RestFacts, check_at_rest
from dynamirror.errors import DynamirrorError, ExitCode
from dynamirror.model.copy import Copy, Phase
from dynamirror.settings.at_rest import settings_at_rest
from tests.support.accounts import LEASE_KEY, LEASES, SHARD, STATE, STATE_KEY, World, lease_row, settings
from tests.unit.engines.test_preflight_at_rest import FLAGS

COPY = Copy(Phase.COPYING, 4, 0, was_empty=True)


@pytest.fixture
def world() -> World:
    world = World()
    world.destination.rows["Copy"]["x",] = {"pk": {"S": "x"}, "sk": {"N": "1"}}
    return world


def off(world: World) -> None:
    """The source's stream."""
    world.source.tables["Orders"] = replace(world.source.tables["Orders"], stream_arn=None, stream_view_type=None)


async def rest(world: World, **more: Any) -> RestFacts:
    return await check_at_rest(world, settings_at_rest(FLAGS | more, now_ms=0), world.time)


def begins_as_items_are_seen(world: World, begin: Callable[[], None]) -> None:
    """A fellow's copy, as seen by a start that has looked for one before."""
    call = world.destination.call

    async def scanned(operation: str, body: bytes) -> bytes:
        begin()
        return await call(operation, body)

    world.destination.call = scanned  # type: ignore[method-assign]


@pytest.mark.parametrize("followed", [False, True], ids=["new", "followed before"])
async def test_following_beside_a_copy(world: World, followed: bool) -> None:
    """A task that has leases is asked nothing of what a plan looks at, and had its stream switched on all the same."""
    off(world)
    if followed:
        world.state.add(LEASES, LEASE_KEY)
        world.state.rows[LEASES][SHARD,] = lease_row(7, None, "5")
    said = await world.refused(ExitCode.DESTINATION, copy=True, enable_stream=True)
    assert "the destination table Copy has items" in said
    assert "--allow-non-empty" in said
    await world.check(copy=True, enable_stream=True, allow_non_empty=True)
    assert len(world.made) == (2 if followed else 3)


async def test_a_copy_at_rest(world: World) -> None:
    with pytest.raises(DynamirrorError, match="--allow-non-empty") as refused:
        await rest(world)
    assert refused.value.exit_code == ExitCode.DESTINATION
    assert not world.made
    await rest(world, allow_non_empty=True)
    assert world.made == [f"create_table {STATE}"]


async def test_without_rights_to_the_state_table_no_copy_begins(world: World) -> None:
    world.state.denied.add(f"describe_table {STATE}")
    assert "--copy needs the state table" in await world.refused(ExitCode.USAGE, java_form=True, copy=True)


async def test_who_copies_nothing_may_have_items(world: World) -> None:
    await world.check()


async def test_a_task_that_has_begun_its_copy_starts_again(world: World) -> None:
    facts = await world.check(copy=True, allow_non_empty=True)
    life = Incarnation(facts.lease_table.table_id, facts.stream_arn)
    await CopyRows(world.state, STATE, life).put_copy(COPY, None)
    await world.check(copy=True)
    world.state.add(LEASES, LEASE_KEY, stream_arn=None)
    world.state.tables[LEASES] = replace(world.state.tables[LEASES], table_id="another life")
    with pytest.raises(DynamirrorError, match="--allow-non-empty"):
        await world.check(copy=True)


async def test_a_copy_at_rest_that_was_begun_goes_on(world: World) -> None:
    facts = await rest(world, allow_non_empty=True)
    await CopyRows(world.state, STATE, facts.life).put_copy(COPY, None)
    await rest(world)


async def test_the_items_of_a_fellow_that_begins_meanwhile_refuse_nothing(world: World) -> None:
    """1 no copy is begun; 2 a fellow makes the tables, begins one, and copies; 3 its items are seen."""

    def begin() -> None:
        world.state.add(STATE, STATE_KEY)
        world.state.add(LEASES, LEASE_KEY)
        life = Incarnation(world.state.tables[LEASES].table_id, "stream of Orders")
        world.state.rows[STATE]["copy", "task"] = row(life)

    begins_as_items_are_seen(world, begin)
    await check(world, settings(copy=True), world.time)


async def test_nor_at_rest(world: World) -> None:
    def begin() -> None:
        world.state.add(STATE, STATE_KEY)
        life = at_rest(world.source.tables["Orders"], world.destination.tables["Copy"])
        world.state.rows[STATE]["at-rest-copy", "task"] = row(life)

    begins_as_items_are_seen(world, begin)
    await rest(world)


def row(life: Incarnation) -> dict[str, Any]:
    flags: dict[str, Any] = {"wasEmpty": {"BOOL": True}, "needsVerify": {"BOOL": False}}
    counts: dict[str, Any] = {"segments": {"N": "4"}, "beganMs": {"N": "0"}, "version": {"N": "1"}}
    return {**life.attributes(), "phase": {"S": "copying"}, **flags, **counts}
