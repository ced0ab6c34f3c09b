"""A destination made anew has nothing of what was applied before: it is not followed as if it had."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from dynamirror.aws.connect import Connections
from dynamirror.engines.destination_life import (
    GONE,
    LOOK_EVERY_S,
    not_its_own,
    not_its_own_at_rest,
    refuse_another,
    watch_destination,
)
from dynamirror.engines.make_destination import make_destination
from dynamirror.errors import ExitCode, NotFound, Refused, Side, Stop
from dynamirror.ports import TableFacts
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.accounts import LEASES, World, settings


async def ready(_: TableFacts | None) -> None:
    """Nothing else refuses the start."""


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

    wanted = settings(copy=True, create_destination=True)
    with pytest.raises(Stop, match="the destination table Copy is gone"):
        await make_destination(cast(Connections, world), wanted, world.time, ready)


@pytest.mark.parametrize("at_rest", [False, True])
async def test_none_is_made_for_a_name_that_stands_for_other_tables(at_rest: bool) -> None:
    """A slip of the hand in the name of a table. The lease table was deleted, so nothing else tells."""
    world = World()
    named = settings(task_name="move")
    await world.check(task_name="move")
    del world.state.tables[named.task.lease_table]

    wanted = settings(task_name="move", copy=True, create_destination=True, destination_table="Cpoy")
    wanted = replace(wanted, copy=replace(wanted.copy, at_rest=at_rest))
    with pytest.raises(Refused, match=r"table/Copy, not --destination-table Cpoy; check --task-name and both tables"):
        await make_destination(cast(Connections, world), wanted, world.time, ready)
    assert not world.destination.tables.keys() - {"Copy"}


def ended_with(trouble: Callable[[World], None]) -> tuple[float, BaseException | None]:
    """How a watch ends, and when, that began with the table that was there; `trouble` comes in its third minute."""

    async def steps() -> tuple[float, BaseException | None]:
        world = World()
        before = world.destination.tables["Copy"].table_id
        loop = asyncio.get_running_loop()
        loop.call_later(2.5 * LOOK_EVERY_S, trouble, world)
        watch = watch_destination(world.destination, "Copy", before, VirtualClock(), Stop(Side.DESTINATION, "words"))
        watching = asyncio.create_task(watch)
        await asyncio.wait([watching], timeout=1000)
        assert world.destination.asked.count("describe_table Copy") >= 3
        if watching.done():
            return loop.time(), watching.exception()
        watching.cancel()
        return loop.time(), None

    return run_virtual(steps())


def test_one_that_is_made_anew_under_a_worker_stops_it() -> None:
    """Every write goes into the new table, and succeeds."""
    at_s, error = ended_with(made_anew)
    assert isinstance(error, Stop)
    assert at_s == pytest.approx(3 * LOOK_EVERY_S)


def gone(world: World) -> None:
    """Writes will say so."""
    del world.destination.tables["Copy"]


def denied(world: World) -> None:
    world.destination.denied.add("describe_table Copy")


def without_an_id(world: World) -> None:
    world.destination.tables["Copy"] = replace(world.destination.tables["Copy"], table_id="")


@pytest.mark.parametrize("trouble", [gone, denied, without_an_id, lambda _: None])
def test_what_is_not_known_stops_nobody(trouble: Callable[[World], None]) -> None:
    assert ended_with(trouble)[1] is None


async def looked_at_after(trouble: Callable[[World], None]) -> None:
    world = World()
    before = world.destination.tables["Copy"].table_id
    trouble(world)
    await refuse_another(world.destination, "Copy", before, world.time, not_its_own_at_rest("Copy"))


async def test_before_all_is_said_to_be_there_it_is_looked_at_once_more() -> None:
    with pytest.raises(Stop, match="made anew under this worker"):
        await looked_at_after(made_anew)
    with pytest.raises(NotFound):
        await looked_at_after(gone)


@pytest.mark.parametrize("trouble", [denied, without_an_id, lambda _: None])
async def test_the_same_one_or_what_is_not_known_is_no_hindrance(trouble: Callable[[World], None]) -> None:
    await looked_at_after(trouble)


def test_the_words_of_a_task_and_of_a_copy_at_rest() -> None:
    said = str(not_its_own(settings()))
    assert f"to start over, stop all workers of the task, delete its lease table {LEASES}" in said
    at_rest = str(not_its_own_at_rest("Copy"))
    assert "start again, and the table is copied anew" in at_rest
    # Else it would be refused.
    for words in (said, at_rest):
        assert "(--allow-non-empty, or empty it first: workers may have written into it since)" in words
    assert "--allow-non-empty" not in str(not_its_own(settings(), GONE))
