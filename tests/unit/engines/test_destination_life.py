"""A destination made anew has nothing of what was applied before: it is not followed as if it had."""

from dataclasses import replace
from typing import cast

import pytest

from dynamirror.aws.connect import Connections
from dynamirror.engines.make_destination import make_destination
from dynamirror.errors import ExitCode, Stop
from dynamirror.ports import TableFacts
from tests.support.accounts import LEASES, World, settings


def made_anew(world: World) -> None:
    world.destination.tables["Copy"] = replace(world.destination.tables["Copy"], table_id="another")


async def test_it_stops_the_start_and_says_how_to_start_over() -> None:
    world = World()
    await world.check()
    await world.check()
    made_anew(world)
    before = len(world.made)
    with pytest.raises(Stop) as stopped:
        await world.check()
    assert stopped.value.exit_code == ExitCode.DESTINATION
    said = str(stopped.value)
    assert "the destination table Copy was deleted and made anew" in said
    assert f"delete its lease table {LEASES}, and start with --copy" in said
    assert len(world.made) == before


async def test_with_new_leases_the_task_begins_anew() -> None:
    world = World()
    await world.check()
    made_anew(world)
    world.state.tables[LEASES] = replace(world.state.tables[LEASES], table_id="new leases")
    await world.check()


async def test_without_rights_to_the_state_table_it_is_not_judged() -> None:
    world = World()
    await world.check()
    made_anew(world)
    world.state.denied.add(f"GetItem {LEASES}-state")
    await world.check(java_form=True)


async def test_none_is_made_for_a_task_that_has_written_to_another() -> None:
    """1 a task is copied and followed; 2 its destination is deleted; 3 --create-destination would make an empty one,
    and the task go on at its checkpoints."""
    world = World()
    await world.check()
    del world.destination.tables["Copy"]

    async def ready(_: TableFacts | None) -> None:
        return None

    wanted = settings(copy=True, create_destination=True)
    with pytest.raises(Stop, match="the destination table Copy is gone"):
        await make_destination(cast(Connections, world), wanted, world.time, ready)
