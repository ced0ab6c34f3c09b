"""Definitions are read out of what the service says, and put into what it takes."""

from dataclasses import replace
from typing import Any

import pytest

from dynamirror.aws.table_definition import TableDefinitions
from dynamirror.aws.table_requests import create_request, step_request
from dynamirror.errors import AccessDenied, NotFound, Side, Stop
from dynamirror.model.table_definition import (
    AWS_MANAGED,
    AWS_OWNED,
    MARK,
    AddIndex,
    AddTags,
    Index,
    SetRecovery,
    SetTtl,
    TableDefinition,
    Throughput,
    Unmark,
)
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.control_cloud import ControlCloud, Json

KEY = "arn:aws:kms:us-east-1:1:key/k"
PLAIN: Json = {
    "TableName": "Orders",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "sk", "KeyType": "RANGE"}, {"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
}
MADE = TableDefinition((("pk", "HASH"), ("sk", "RANGE")), {"pk": "S", "sk": "S", "a": "N"})
INDEX = Index("by-a", (("a", "HASH"),), "INCLUDE", ("x",))


def cloud(**more: Any) -> ControlCloud:
    """With one table; `more` of its description."""
    there = ControlCloud("us-east-1", Side.SOURCE)
    there.put(PLAIN, **more)
    return there


def read(there: ControlCloud, name: str = "Orders") -> TableDefinition:
    async def main() -> TableDefinition:
        clock = VirtualClock()
        return await TableDefinitions(there.control(clock), clock).read(name)

    return run_virtual(main())


def index(status: str, **more: Any) -> Json:
    keys = [{"AttributeName": "sk", "KeyType": "HASH"}]
    return {
        "IndexName": status,
        "KeySchema": keys,
        "Projection": {"ProjectionType": "ALL"},
        "IndexStatus": status,
        **more,
    }


def test_a_plain_table_is_read() -> None:
    found = read(cloud())
    assert found == TableDefinition(
        (("pk", "HASH"), ("sk", "RANGE")),
        {"pk": "S", "sk": "S"},
        arn="arn:aws:dynamodb:us-east-1:1:table/Orders",
    )


def test_tags_recovery_and_time_to_live_are_read() -> None:
    there = cloud()
    there.tags["Orders"] = {f"t{number}": "v" for number in range(5)}
    there.recovery["Orders"], there.ttl["Orders"] = 9, "expires"
    found = read(there)
    assert (found.tags, found.recovery_days, found.ttl) == (there.tags["Orders"], 9, "expires")
    assert [operation for operation, _ in there.asked].count("ListTagsOfResource") == 3


def test_a_table_that_never_was_on_demand_is_provisioned() -> None:
    there = cloud(
        ProvisionedThroughput={"NumberOfDecreasesToday": 3, "ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
        OnDemandThroughput={"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1},
    )
    del there.tables["Orders"]["BillingModeSummary"]
    found = read(there)
    assert (found.on_demand, found.capacity, found.maxima) == (False, Throughput(5, 6), None)


def test_throughput_of_an_on_demand_table() -> None:
    there = cloud(
        # As it is shown: provisioned with nothing.
        ProvisionedThroughput={"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
        OnDemandThroughput={"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 8},
        WarmThroughput={"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000, "Status": "ACTIVE"},
    )
    found = read(there)
    assert (found.on_demand, found.capacity) == (True, None)
    assert (found.maxima, found.warm) == (Throughput(None, 8), Throughput(12_000, 4_000))


@pytest.mark.parametrize(
    "description,encryption",
    [
        ({"Status": "ENABLED", "SSEType": "AES256"}, AWS_OWNED),
        ({"Status": "DISABLING", "SSEType": "KMS", "KMSMasterKeyArn": KEY}, AWS_OWNED),
        ({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY}, KEY),
        ({"Status": "UPDATING", "SSEType": "KMS"}, AWS_MANAGED),
        ({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:x:1:alias/aws/dynamodb"}, AWS_MANAGED),
    ],
)
def test_encryption_is_read(description: Json, encryption: str) -> None:
    assert read(cloud(SSEDescription=description)).encryption == encryption


def test_an_index_that_goes_away_is_none_and_one_that_comes_is_one() -> None:
    found = read(cloud(GlobalSecondaryIndexes=[index("DELETING"), index("CREATING"), index("ACTIVE")]))
    assert [one.name for one in found.global_indexes] == ["CREATING", "ACTIVE"]


def test_a_stream_that_is_off_is_none() -> None:
    assert read(cloud(LatestStreamArn="arn:old", StreamSpecification={"StreamEnabled": False})).stream is None


def test_what_is_not_held_is_said() -> None:
    found = read(cloud(Replicas=[{"RegionName": "eu-west-1"}], VectorIndexes=[{"IndexName": "near"}]))
    assert found.beyond == ("replicas in eu-west-1", "vector indexes near")


def test_what_the_service_does_not_offer_says_nothing() -> None:
    there = cloud()
    there.unknown = {"ListTagsOfResource", "DescribeContinuousBackups"}
    assert read(there).unoffered == {"tags", "recovery_days"}


def test_a_missing_right_and_a_missing_table_are_named() -> None:
    there = cloud()
    there.denied = {"DescribeTimeToLive"}
    with pytest.raises(AccessDenied, match="allow dynamodb:DescribeTimeToLive on table Orders"):
        read(there)
    with pytest.raises(NotFound, match="table Missing"):
        read(there, "Missing")


def test_a_key_without_a_type_is_no_table() -> None:
    with pytest.raises(Stop, match="is not DynamoDB"):
        read(cloud(AttributeDefinitions=[]))


def test_a_request_holds_all_that_it_can() -> None:
    definition = TableDefinition(
        MADE.keys,
        {**MADE.types, "unused": "B"},
        (Index("local", (("pk", "HASH"), ("a", "RANGE")), "KEYS_ONLY"),),
        (Index("by-a", (("a", "HASH"),), "ALL", (), None, Throughput(7), Throughput(None, 5_000)),),
        maxima=Throughput(70, 80),
        warm=Throughput(13_000),
        table_class="STANDARD_INFREQUENT_ACCESS",
        encryption=KEY,
        tags={"team": "a"},
        deletion_protection=True,
        stream="NEW_IMAGE",
        recovery_days=7,
        ttl="expires",
    )
    assert create_request("T", definition, "arn:source") == {
        "TableName": "T",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "a", "AttributeType": "N"},
        ],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "LocalSecondaryIndexes": [
            {
                "IndexName": "local",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "a", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by-a",
                "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "OnDemandThroughput": {"MaxReadRequestUnits": 7},
                "WarmThroughput": {"WriteUnitsPerSecond": 5_000},
            }
        ],
        "BillingMode": "PAY_PER_REQUEST",
        "OnDemandThroughput": {"MaxReadRequestUnits": 70, "MaxWriteRequestUnits": 80},
        "WarmThroughput": {"ReadUnitsPerSecond": 13_000},
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY},
        "Tags": [{"Key": "team", "Value": "a"}, {"Key": MARK, "Value": "arn:source"}],
        "DeletionProtectionEnabled": True,
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    }


def test_a_request_leaves_out_what_the_service_does_by_itself() -> None:
    request = create_request("T", MADE, "m")
    assert request.keys() == {"TableName", "AttributeDefinitions", "KeySchema", "BillingMode", "Tags"}
    # An attribute that no key of the request uses would be refused.
    assert [one["AttributeName"] for one in request["AttributeDefinitions"]] == ["pk", "sk"]


def test_steps_as_requests() -> None:
    provisioned = AddIndex(replace(INDEX, capacity=Throughput(1, 2)), {"a": "N"})
    assert step_request("T", "arn", provisioned) == (
        "UpdateTable",
        {
            "TableName": "T",
            "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "N"}],
            "GlobalSecondaryIndexUpdates": [
                {
                    "Create": {
                        "IndexName": "by-a",
                        "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
                        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]},
                        "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
                    }
                }
            ],
        },
    )
    recovery = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7}
    assert step_request("T", "arn", SetRecovery(7)) == (
        "UpdateContinuousBackups",
        {"TableName": "T", "PointInTimeRecoverySpecification": recovery},
    )
    ttl = {"Enabled": True, "AttributeName": "e"}
    assert step_request("T", "arn", SetTtl("e")) == (
        "UpdateTimeToLive",
        {"TableName": "T", "TimeToLiveSpecification": ttl},
    )
    tags = {"ResourceArn": "arn", "Tags": [{"Key": "k", "Value": "v"}]}
    assert step_request("T", "arn", AddTags({"k": "v"})) == ("TagResource", tags)
    assert step_request("T", "arn", Unmark()) == ("UntagResource", {"ResourceArn": "arn", "TagKeys": [MARK]})


def test_an_index_waits_for_the_one_before_it_however_long_that_takes(caplog: pytest.LogCaptureFixture) -> None:
    there = cloud(GlobalSecondaryIndexes=[index("CREATING")])
    there.slow["Orders"] = 1_000

    async def main() -> float:
        clock = VirtualClock()
        begun_s = clock.boottime_s()
        step = AddIndex(INDEX, {"a": "N"})
        await TableDefinitions(there.control(clock), clock).carry_out("Orders", step)
        return clock.boottime_s() - begun_s

    with caplog.at_level("INFO"):
        assert run_virtual(main()) > 900
    # Asked for once, when it could begin.
    assert there.changes() == ["UpdateTable"]
    assert caplog.text.count("waiting for table Orders: CREATING CREATING") > 10


def test_a_table_that_can_no_longer_become_active_is_not_waited_for() -> None:
    there = cloud(TableStatus="INACCESSIBLE_ENCRYPTION_CREDENTIALS")

    async def main() -> None:
        clock = VirtualClock()
        await TableDefinitions(there.control(clock), clock).carry_out("Orders", AddIndex(INDEX, {"a": "N"}))

    with pytest.raises(Stop, match="table Orders is INACCESSIBLE_ENCRYPTION_CREDENTIALS; start again when"):
        run_virtual(main())


def test_a_refusal_that_is_meant_is_passed_on() -> None:
    there = cloud()
    there.refusals["UpdateTimeToLive"] = "Time to live has been modified multiple times within a fixed interval"

    async def main() -> None:
        clock = VirtualClock()
        await TableDefinitions(there.control(clock), clock).carry_out("Orders", SetTtl("expires"))

    with pytest.raises(Stop, match="modified multiple times"):
        run_virtual(main())
