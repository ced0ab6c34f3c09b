"""A destination is made like its source, whatever is killed, lost or done by another worker meanwhile."""

import asyncio
from typing import Any

import pytest

from dynamirror.engines.clone import CloneOptions, Ensured, compare_definitions, ensure_destination, finish_destination
from dynamirror.errors import AccessDenied, ExitCode, Refused, Stop
from dynamirror.model.table_definition import MARK
from dynamirror.model.table_differences import Severity
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.control_cloud import Crash
from tests.unit.engines.clone_world import LATER, PLAIN, RICH, World, global_indexes, index, keys

DENIED = "not offered by its service, or not allowed"
EAST_KEY = "arn:aws:kms:us-east-1:1:key/customer"


def test_everything_is_taken_over_and_time_to_live_comes_last() -> None:
    world = World()
    (ensured,) = world.run(ensure_destination)
    assert (ensured.created, ensured.unfinished) == (True, True)
    assert [difference.setting for difference in ensured.differences] == ["ttl"]
    assert not world.destination.ttl
    (finished,) = world.run(finish_destination)
    assert finished == Ensured(created=False, unfinished=False, differences=())
    made = world.destination
    assert made.tables["Copy"]["GlobalSecondaryIndexes"] == world.source.tables["Orders"]["GlobalSecondaryIndexes"]
    assert made.tables["Copy"]["LocalSecondaryIndexes"] == RICH["LocalSecondaryIndexes"]
    for field in ("OnDemandThroughput", "StreamSpecification", "DeletionProtectionEnabled", "TableClassSummary"):
        assert made.tables["Copy"][field] == world.source.tables["Orders"][field]
    assert made.tags["Copy"] == {"team": "team", "cost": "cost", "stage": "stage"}
    assert (made.recovery, made.ttl) == ({"Copy": 7}, {"Copy": "expires"})
    changes = list(dict.fromkeys(made.changes()))
    assert changes == ["CreateTable", "UpdateContinuousBackups", "UpdateTimeToLive", "UntagResource"]
    # The source is only read.
    assert not world.source.changes()


def test_indexes_come_after_the_copy_one_at_a_time() -> None:
    world = World()
    world.run(ensure_destination, options=LATER)
    assert not global_indexes(world.destination.tables["Copy"])
    world.run(finish_destination, options=LATER)
    assert world.destination.changes()[-4:] == ["UpdateTable", "UpdateTable", "UpdateTimeToLive", "UntagResource"]
    at_once = World()
    at_once.run(ensure_destination, finish_destination)
    assert world.outcome() == at_once.outcome()


def test_each_call_returns_when_all_that_it_made_can_be_used() -> None:
    world = World()
    world.source.recovery.clear()
    world.destination.takes = 40
    world.run(ensure_destination, options=LATER)
    assert world.destination.tables["Copy"]["TableStatus"] == "ACTIVE"
    world.run(finish_destination, options=LATER)
    assert {one["IndexStatus"] for one in global_indexes(world.destination.tables["Copy"])} == {"ACTIVE"}
    # Time to live is asked for when the indexes are complete.
    asked = [operation for operation, _ in world.destination.asked]
    last_index = len(asked) - 1 - asked[::-1].index("UpdateTable")
    assert asked[last_index : asked.index("UpdateTimeToLive")].count("DescribeTable") > world.destination.takes


@pytest.mark.parametrize("options", [PLAIN, LATER], ids=["indexes-at-once", "indexes-later"])
def test_what_is_done_is_not_done_again(options: CloneOptions) -> None:
    world = World()
    world.run(ensure_destination, ensure_destination, options=options)
    assert world.destination.changes().count("CreateTable") == 1
    world.run(finish_destination, options=options)
    changes = world.destination.changes()
    again = world.run(ensure_destination, finish_destination, options=options)
    assert again == [Ensured(created=False, unfinished=False, differences=())] * 2
    assert world.destination.changes() == changes


def test_a_crash_anywhere_is_finished_by_the_next_start() -> None:
    whole = World()
    whole.run(ensure_destination, finish_destination, options=LATER)
    calls = len(whole.destination.asked)
    assert calls > 30
    for number in range(calls):
        for moment in ("crash_before", "crash_after"):
            world = World()
            setattr(world.destination, moment, number)
            with pytest.raises(Crash):
                world.run(ensure_destination, finish_destination, options=LATER)
            setattr(world.destination, moment, None)
            world.run(ensure_destination, finish_destination, options=LATER)
            assert world.outcome() == whole.outcome(), f"{moment} {number}"


def test_a_lost_answer_anywhere_does_no_harm() -> None:
    whole = World()
    whole.run(ensure_destination, finish_destination, options=LATER)
    for number in range(len(whole.destination.asked)):
        world = World()
        world.destination.lost = {number}
        world.run(ensure_destination, finish_destination, options=LATER)
        assert world.outcome() == whole.outcome(), f"answer {number} lost"


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer-lost"])
def test_a_new_clone_whose_tags_are_not_seen_yet_is_not_taken_for_somebody_elses(lost: bool) -> None:
    world = World()
    world.destination.stale = 5
    world.destination.lost = {1} if lost else set()
    (ensured,) = world.run(ensure_destination)
    assert world.destination.asked[1][0] == "CreateTable"
    assert (ensured.created, ensured.unfinished) == (not lost, True)
    assert world.destination.recovery == {"Copy": 7}


def test_a_mark_that_is_still_seen_when_it_is_gone_is_waited_for() -> None:
    world = World()
    world.run(ensure_destination)

    async def main() -> Ensured:
        world.destination.stale = 30
        world.destination.keep_tags("Copy")
        return await world.job(finish_destination, PLAIN)

    assert not run_virtual(main()).unfinished
    assert world.destination.changes().count("UntagResource") == 1


def test_many_workers_make_one_table() -> None:
    world, whole = World(), World()
    whole.run(ensure_destination, finish_destination, options=LATER)

    async def worker(number: int) -> None:
        await asyncio.sleep(number / 4)
        await world.job(ensure_destination, LATER)
        await world.job(finish_destination, LATER)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(worker(number))

    run_virtual(main())
    assert world.outcome() == whole.outcome()


def test_the_operators_own_table_is_compared_and_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    own = index("own", "pk")
    world.own(GlobalSecondaryIndexes=[own], LocalSecondaryIndexes=[], AttributeDefinitions=RICH["AttributeDefinitions"])
    with caplog.at_level("INFO"):
        ensured, finished = world.run(ensure_destination, finish_destination)
    assert (ensured.created, ensured.unfinished, finished.unfinished) == (False, False, False)
    assert ensured.differences == finished.differences
    assert ensured.differences[0].severity is Severity.RISKS
    assert not world.destination.changes()
    assert "left as it is; index own: only at the destination" in caplog.text


def test_a_table_with_other_keys_is_refused() -> None:
    world = World()
    hash_only = {"KeySchema": keys(pk="HASH"), "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "N"}]}
    world.own(**hash_only, GlobalSecondaryIndexes=[], LocalSecondaryIndexes=[])
    with pytest.raises(Stop, match=r"cannot be a copy of Orders: primary key: source pk \(S, hash\), sk") as error:
        world.run(ensure_destination)
    assert error.value.exit_code == ExitCode.DESTINATION
    assert not world.destination.changes()


def test_another_sources_clone_is_refused() -> None:
    world = World()
    world.own(Tags=[{"Key": MARK, "Value": "arn:aws:dynamodb:us-east-1:1:table/Other"}])
    with pytest.raises(Stop, match=r"unfinished clone of .*table/Other, not of .*table/Orders"):
        world.run(ensure_destination)


def test_a_table_that_is_going_away_is_not_taken() -> None:
    world = World()
    world.own()
    world.destination.tables["Copy"]["TableStatus"] = "DELETING"
    with pytest.raises(Stop, match="table Copy is DELETING"):
        world.run(ensure_destination)


def test_another_regions_key_is_refused_before_anything_is_made() -> None:
    sse = {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": EAST_KEY}
    world = World(SSEDescription=sse)
    with pytest.raises(Refused, match="KMS key of us-east-1, which a table in eu-west-1 cannot use: set encryption"):
        world.run(ensure_destination)
    assert not world.destination.changes()
    world.run(ensure_destination, options=CloneOptions("eu-west-1", overrides={"encryption": "aws-managed"}))
    assert world.destination.last("CreateTable")["SSESpecification"] == {"Enabled": True, "SSEType": "KMS"}
    # A table that is there is not made.
    world = World(SSEDescription=sse)
    world.own()
    (ensured,) = world.run(ensure_destination)
    assert "encryption" in {difference.setting for difference in ensured.differences}


def test_what_the_destinations_service_lacks_is_left_out_and_said() -> None:
    world, lacking = World(), {"ListTagsOfResource", "TagResource", "UntagResource"}
    lacking |= {"DescribeContinuousBackups", "UpdateContinuousBackups"}
    world.destination.unknown = lacking
    ensured, finished = world.run(ensure_destination, finish_destination)
    assert ensured.created
    assert world.destination.ttl == {"Copy": "expires"}
    assert [difference.setting for difference in finished.differences] == ["tags", "recovery_days"]


@pytest.mark.parametrize("operation", ["UpdateContinuousBackups", "UpdateTimeToLive", "UntagResource"])
def test_a_right_that_is_missing_is_named(operation: str) -> None:
    world = World()
    world.destination.denied = {operation}
    with pytest.raises(AccessDenied, match=f"allow dynamodb:{operation}"):
        world.run(ensure_destination, finish_destination)


def test_a_step_that_is_refused_for_ever_ends() -> None:
    world = World()
    world.destination.backups_unavailable = 10_000
    with pytest.raises(Stop, match="point-in-time recovery of table Copy is still refused as too early after 300 s"):
        world.run(ensure_destination)


def test_two_tables_are_compared() -> None:
    world = World()
    world.own()

    async def main() -> Any:
        clock = VirtualClock()
        there = world.destination.control(clock)
        return await compare_definitions(world.source.control(clock), there, "Orders", "Copy", clock)

    settings = [difference.setting for difference in run_virtual(main())]
    assert settings == ["ttl", "deletion_protection", "recovery", "tags", "tags", "tags"]
    world.source.denied |= {"ListTagsOfResource", "DescribeTimeToLive"}
    lines = [difference.line for difference in run_virtual(main())]
    assert lines[-2:] == [f"{what}: not known of the source ({DENIED})" for what in ("tags", "time to live")]
