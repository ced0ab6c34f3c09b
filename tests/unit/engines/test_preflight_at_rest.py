"""What is checked before a table is copied at rest: no stream, no lease table, nobody who follows it."""

import logging
from dataclasses import replace
from typing import cast

import pytest

from dynamirror.aws.connect import Connections
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.make_destination import make_destination
from dynamirror.engines.preflight_at_rest import RestFacts, check_at_rest
from dynamirror.errors import DynamirrorError, ExitCode, Refused
from dynamirror.settings.at_rest import settings_at_rest
from dynamirror.settings.values import Value
from tests.support.accounts import LEASE_KEY, LEASES, SHARD, STATE, STATE_KEY, World, lease_row

FLAGS: dict[str, Value] = {
    "source_region": "us-east-1",
    "source_table": "Orders",
    "destination_region": "eu-west-1",
    "destination_table": "Copy",
}


@pytest.fixture
def world() -> World:
    world = World()
    world.source.tables["Orders"] = replace(world.source.tables["Orders"], stream_arn=None, stream_view_type=None)
    return world


async def check(world: World) -> RestFacts:
    return await check_at_rest(world, settings_at_rest(FLAGS, now_ms=0), world.time)


async def refused(world: World, code: ExitCode) -> str:
    with pytest.raises(DynamirrorError) as error:
        await check(world)
    assert error.value.exit_code == code
    assert not world.made
    return str(error.value)


async def test_with_the_stream_off_only_the_state_table_is_made(world: World) -> None:
    await check(world)
    assert world.made == [f"create_table {STATE}"]
    assert not [what for what in world.stream.asked + world.source.asked if "stream" in what.lower()]
    assert ("task", "pair") in world.state.rows[STATE]


async def test_the_life_of_the_rows_ends_when_either_table_is_made_anew(world: World) -> None:
    first = (await check(world)).life
    assert (await check(world)).life == first
    for account, name in ((world.source, "Orders"), (world.destination, "Copy")):
        account.tables[name] = replace(account.tables[name], table_id="another")
        again = (await check(world)).life
        assert again != first
        first = again


async def test_the_name_of_another_pair_is_refused_whichever_command_had_it(world: World) -> None:
    world.state.add(STATE, STATE_KEY)
    following = StateTable(world.state, STATE, Incarnation("id", "stream"))
    await following.remember_pair("arn:other", world.destination.tables["Copy"].arn)
    assert "belongs to another pair: it copies arn:other to" in await refused(world, ExitCode.USAGE)


async def test_the_pair_of_a_task_that_was_followed_stays_in_its_life(world: World) -> None:
    """Its workers take another life of that row for the end of theirs."""
    world.state.add(STATE, STATE_KEY)
    life = Incarnation("leases", "stream")
    arns = world.source.tables["Orders"].arn, world.destination.tables["Copy"].arn
    await StateTable(world.state, STATE, life).remember_pair(*arns)
    before = dict(world.state.rows[STATE]["task", "pair"])
    await check(world)
    assert world.state.rows[STATE]["task", "pair"] == before


async def test_a_task_that_is_followed_is_not_copied_at_rest(world: World) -> None:
    world.state.add(LEASES, LEASE_KEY)

    def renew() -> None:
        world.state.rows[LEASES][SHARD,] = lease_row(int(world.time.now_s), "w-1", "5")

    renew()
    world.time.meanwhile = renew
    said = await refused(world, ExitCode.USAGE)
    assert f"this task is followed (worker w-1, lease table {LEASES})" in said
    assert "replicate --copy" in said


async def test_nor_is_a_destination_made_for_it(world: World) -> None:
    world.state.add(LEASES, LEASE_KEY)
    del world.destination.tables["Copy"]

    def renew() -> None:
        world.state.rows[LEASES][SHARD,] = lease_row(int(world.time.now_s), "w-1", "5")

    renew()
    world.time.meanwhile = renew
    wanted = settings_at_rest({**FLAGS, "create_destination": True}, now_ms=0)
    with pytest.raises(Refused, match="this task is followed"):
        await make_destination(cast(Connections, world), wanted, world.time)


@pytest.mark.parametrize("owner", [None, "w-that-crashed"])
async def test_one_that_was_followed_once_is(world: World, owner: str | None) -> None:
    world.state.add(LEASES, LEASE_KEY)
    world.state.rows[LEASES][SHARD,] = lease_row(7, owner, "5")
    await check(world)


async def test_rights_to_see_it_may_be_missing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.state.denied.add(f"describe_table {LEASES}")
    with caplog.at_level(logging.WARNING, "dynamirror"):
        await check(world)
    assert [record.__dict__["event"] for record in caplog.records] == ["followers_unseen"]


async def test_without_rights_to_the_state_table_there_is_no_copy(world: World) -> None:
    world.state.denied.add(f"describe_table {STATE}")
    assert STATE in await refused(world, ExitCode.STATE)


@pytest.mark.parametrize("field", ["start_at", "batch_size", "copy", "enable_stream", "allow_loop"])
def test_what_is_about_the_stream_is_no_setting(field: str) -> None:
    with pytest.raises(Refused, match=field):
        settings_at_rest(FLAGS | {field: "1"}, now_ms=0)
