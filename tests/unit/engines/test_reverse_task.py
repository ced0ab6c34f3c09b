"""The loop that is refused: a reverse task that shows life, and everything that only looks like one."""

import logging

import pytest

from dynamirror.errors import ExitCode, Refused, Side
from dynamirror.model.task_name import LEASE_TABLE_PREFIX, lease_table_name, state_table_name
from tests.support.accounts import BOTH, KEY, LEASE_KEY, REVERSE, SHARD, STATE_KEY, Account, World, lease_row


@pytest.fixture
def world() -> World:
    return World()


async def test_a_reverse_task_whose_counter_moves_is_refused(world: World) -> None:
    world.reverse_rows(7)

    def java_renews_after_19_s() -> None:
        if world.time.now_s >= 119:
            world.reverse_rows(8)

    world.time.meanwhile = java_renews_after_19_s
    said = await world.refused(ExitCode.USAGE)
    assert f"the reverse task is running (worker w-java, lease table {REVERSE} in eu-west-1)" in said
    assert "--allow-loop" in said
    assert world.time.now_s <= 121


@pytest.mark.parametrize("mine,back", [("orders", "orders-reverse"), ("orders-reverse", "orders")])
async def test_the_way_back_that_a_cut_over_has_named_is_found(world: World, mine: str, back: str) -> None:
    name = LEASE_TABLE_PREFIX + back
    world.time.meanwhile = lambda: world.reverse_rows(int(world.time.now_s), name=name)
    world.time.meanwhile()
    with pytest.raises(Refused, match=f"the reverse task is running .worker w-java, lease table {name} in eu-west-1"):
        await world.check(task_name=mine)
    await world.check(task_name="another")


async def test_a_reverse_task_whose_heartbeat_moves_is_refused_at_once(world: World) -> None:
    world.reverse_rows(7, owner="w-ours")
    name = state_table_name(REVERSE)
    world.destination.add(name, STATE_KEY)

    def beat() -> None:
        marks = {
            "leaseTableId": {"S": world.destination.tables[REVERSE].table_id},
            "streamArn": {"S": "stream of Copy"},
            "schema": {"N": "1"},
        }
        row = {"kind": {"S": "worker"}, "id": {"S": "w-ours"}, "beat": {"N": str(int(world.time.now_s))}}
        world.destination.rows[name]["worker", "w-ours"] = row | marks

    beat()
    world.time.meanwhile = beat
    assert "worker w-ours" in await world.refused(ExitCode.USAGE)
    assert world.time.now_s <= 102


async def test_a_reverse_task_that_has_stopped_is_no_loop(world: World) -> None:
    world.reverse_rows(7)
    await world.check()
    assert world.time.now_s == pytest.approx(123.0)


@pytest.mark.parametrize("owner,checkpoint", [(None, "5"), ("w-java", "SHARD_END")])
async def test_free_and_finished_rows_are_not_watched(world: World, owner: str | None, checkpoint: str) -> None:
    world.reverse_rows(7, owner, checkpoint)
    await world.check()
    assert world.time.now_s == 100.0


async def test_a_release_while_watching_is_no_sign_of_life(world: World) -> None:
    world.reverse_rows(7)
    world.time.meanwhile = lambda: world.reverse_rows(8, owner=None)
    await world.check()


async def test_without_a_stream_at_the_destination_nothing_is_asked(world: World) -> None:
    world.destination.add(REVERSE, LEASE_KEY)
    await world.check()
    assert not [what for what in world.destination.asked if REVERSE in what]


async def test_allow_loop_asks_nothing(world: World) -> None:
    world.reverse_rows(7)
    world.time.meanwhile = lambda: world.reverse_rows(int(world.time.now_s))
    await world.check(allow_loop=True)
    assert not [what for what in world.destination.asked if REVERSE in what]


@pytest.mark.parametrize("denied", ["describe_table", "Scan"])
async def test_where_nobody_may_look_it_is_said_and_the_start_goes_on(
    world: World, denied: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.reverse_rows(7)
    world.destination.denied = {f"{denied} {REVERSE}"}
    with caplog.at_level(logging.WARNING, "dynamirror"):
        await world.check()
    assert [line.__dict__["event"] for line in caplog.records] == ["reverse_task_unseen"]


async def test_a_reverse_task_that_is_just_starting_is_refused(world: World) -> None:
    world.reverse_rows(7)
    del world.destination.rows[REVERSE][SHARD,]
    world.destination.add(state_table_name(REVERSE), STATE_KEY, status="CREATING")
    said = await world.refused(ExitCode.USAGE)
    assert f"the reverse task is starting (table {state_table_name(REVERSE)} in eu-west-1 is being created)" in said
    assert "--allow-loop" in said
    world.destination.add(REVERSE, LEASE_KEY, status="CREATING")
    assert f"table {REVERSE} in eu-west-1 is being created" in await world.refused(ExitCode.USAGE)


async def test_a_reverse_task_without_a_visible_state_table_is_judged_by_its_leases(world: World) -> None:
    world.reverse_rows(7, owner=None)
    world.destination.denied = {f"describe_table {state_table_name(REVERSE)}"}
    await world.check()


async def test_a_reverse_lease_table_that_goes_away_is_no_loop(world: World) -> None:
    world.reverse_rows(7)

    def gone() -> None:
        world.destination.tables.pop(REVERSE, None)

    world.time.meanwhile = gone
    await world.check()


async def test_between_accounts_the_own_lease_table_is_not_taken_for_the_reverse_one() -> None:
    world = World()
    name = lease_table_name(None, ("us-east-1", "Orders"), ("us-east-1", "Orders"))
    # Destination and leases are in the process's own account 2, the source in account 1.
    world.destination = world.state = Account(Side.DESTINATION, "us-east-1:2", "http://east")
    world.destination.add("Orders", KEY, stream_arn="stream of Orders in 2", stream_view_type=BOTH)
    world.destination.add(name, LEASE_KEY)
    world.destination.rows[name][SHARD,] = lease_row(1, "our fellow worker", "5")
    await world.check(destination_region="us-east-1", destination_table="Orders")
    assert world.time.now_s == 100.0
