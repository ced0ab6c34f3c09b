"""A destination is made like its source, whatever is killed, lost or done by another worker meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dynamirror.engines.clone import CloneOptions, Ensured, compare_definitions, ensure_destination, finish_destination
from dynamirror.errors import AccessDenied, ExitCode, Refused, Side, Stop
from dynamirror.model.table_definition import MARK
from dynamirror.model.table_differences import Severity
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.control_cloud import ControlCloud, Crash, Json

EAST_KEY = "arn:aws:kms:us-east-1:1:key/customer"
PLAIN = CloneOptions("eu-west-1")
LATER = CloneOptions("eu-west-1", indexes_after_copy=True)


def keys(**roles: str) -> list[Json]:
    return [{"AttributeName": name, "KeyType": role} for name, role in roles.items()]


def index(name: str, attribute: str, **more: Any) -> Json:
    return {
        "IndexName": name,
        "KeySchema": keys(**{attribute: "HASH"}),
        "Projection": {"ProjectionType": "ALL"},
        **more,
    }


RICH: Json = {
    "TableName": "Orders",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": keys(pk="HASH", sk="RANGE"),
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "by", "at", "who")],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "local",
            "KeySchema": keys(pk="HASH", by="RANGE"),
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]},
        }
    ],
    "GlobalSecondaryIndexes": [
        index("by-at", "at", OnDemandThroughput={"MaxReadRequestUnits": 7}),
        index("by-who", "who"),
    ],
    "OnDemandThroughput": {"MaxWriteRequestUnits": 900},
    "TableClass": "STANDARD_INFREQUENT_ACCESS",
    "DeletionProtectionEnabled": True,
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    "Tags": [{"Key": key, "Value": key} for key in ("team", "aws:cloudformation:stack", "cost", "stage")],
}


class World:
    """A source with everything in us-east-1, and nothing in eu-west-1."""

    def __init__(self, **more: Any) -> None:
        self.source = ControlCloud("us-east-1", Side.SOURCE)
        self.destination = ControlCloud("eu-west-1", Side.DESTINATION)
        self.source.put(RICH, **more)
        self.source.recovery["Orders"], self.source.ttl["Orders"] = 7, "expires"

    def own(self, **more: Any) -> None:
        """A destination table that the operator made."""
        request = {**RICH, "TableName": "Copy", "Tags": [], "DeletionProtectionEnabled": False}
        self.destination.put({**request, **more})

    def run(self, *jobs: Callable[..., Coroutine[Any, Any, Ensured]], options: CloneOptions = PLAIN) -> list[Ensured]:
        """Of one worker, one after the other."""

        async def main() -> list[Ensured]:
            return [await self.job(job, options) for job in jobs]

        return run_virtual(main())

    async def job(self, job: Callable[..., Coroutine[Any, Any, Ensured]], options: CloneOptions) -> Ensured:
        clock = VirtualClock()
        source, destination = self.source.control(clock), self.destination.control(clock)
        return await job(source, destination, "Orders", "Copy", options, clock)

    def outcome(self) -> Json:
        """The destination, without what is different every time."""
        there = self.destination
        table = {key: value for key, value in there.tables["Copy"].items() if key != "AttributeDefinitions"}
        table["GlobalSecondaryIndexes"] = sorted((i["IndexName"], i["IndexStatus"]) for i in _global(table))
        return {"table": table, "tags": there.tags["Copy"], "recovery": there.recovery, "ttl": there.ttl}


def _global(table: Json) -> list[Json]:
    found: list[Json] = table["GlobalSecondaryIndexes"]
    return found


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
    assert not _global(world.destination.tables["Copy"])
    world.run(finish_destination, options=LATER)
    assert world.destination.changes()[-4:] == ["UpdateTable", "UpdateTable", "UpdateTimeToLive", "UntagResource"]
    at_once = World()
    at_once.run(ensure_destination, finish_destination)
    assert world.outcome() == at_once.outcome()


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
