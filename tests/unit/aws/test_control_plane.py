"""Tables are described, created and given a stream; every call may be repeated, and waits end."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dynamirror.aws.control_plane import ControlPlane, Encryption
from dynamirror.aws.credentials import Credentials
from dynamirror.aws.http import Request, Response
from dynamirror.aws.service import STREAMS_API, TABLES_API, Service, ServiceClock, Signing
from dynamirror.aws.sigv4 import Signer
from dynamirror.errors import AccessDenied, NotFound, Refused, Side, Stop, Throttled, Unanswered
from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.model.table_definition import Throughput
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

Json = dict[str, Any]
ON_DEMAND: Json = {"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}
HASH_ONLY = KeySchema(KeyAttribute("id", "S"))
PAIR = KeySchema(KeyAttribute("id", "S"), KeyAttribute("at", "N"))


class Keys:
    def current(self) -> Credentials:
        return Credentials("AKIDEXAMPLE", "secret")

    async def refresh(self, refused: Credentials) -> None:
        raise AssertionError("never expired here")


class Cloud:
    """A service with tables that take their time: each Describe moves them one step on."""

    def __init__(self) -> None:
        self.tables: dict[str, Json] = {}
        self.steps: dict[str, list[Json]] = {}
        self.stream_steps = ["ENABLING", "ENABLED"]
        self.asked: list[tuple[str, Json]] = []
        # What to answer next instead; None: the cloud itself answers.
        self.script: list[tuple[int, bytes] | None] = []

    async def transport(self, request: Request, timeout_s: float) -> Response:
        operation = request.headers["X-Amz-Target"].partition(".")[2]
        asked = json.loads(request.body)
        self.asked.append((operation, asked))
        scripted = self.script.pop(0) if self.script else None
        status, body = scripted or getattr(self, operation)(asked)
        return Response(
            status, {"x-amzn-requestid": "1"}, body if isinstance(body, bytes) else json.dumps(body).encode()
        )

    def DescribeTable(self, asked: Json) -> tuple[int, Json]:  # noqa: N802
        name = asked["TableName"]
        steps = self.steps.get(name, [])
        if steps:
            self.tables.setdefault(name, {}).update(steps.pop(0))
        table = self.tables.get(name)
        return (200, {"Table": table}) if table else refusal("ResourceNotFoundException")

    def CreateTable(self, asked: Json) -> tuple[int, Json]:  # noqa: N802
        name = asked["TableName"]
        if name in self.tables or name in self.steps:
            return refusal("ResourceInUseException")
        # At first DescribeTable knows nothing of it.
        self.steps[name] = [{}, table("CREATING", asked), {}, {"TableStatus": "ACTIVE"}]
        return 200, {"TableDescription": {}}

    def UpdateTable(self, asked: Json) -> tuple[int, Json]:  # noqa: N802
        wanted = asked["StreamSpecification"]
        on = {"StreamSpecification": wanted, "LatestStreamArn": "arn:stream"}
        self.steps[asked["TableName"]] = [{"TableStatus": "UPDATING"}, {"TableStatus": "ACTIVE", **on}]
        return 200, {"TableDescription": {}}

    def DescribeStream(self, asked: Json) -> tuple[int, Json]:  # noqa: N802
        status = self.stream_steps.pop(0) if len(self.stream_steps) > 1 else self.stream_steps[0]
        return 200, {"StreamDescription": {"StreamStatus": status}}


def refusal(name: str) -> tuple[int, Json]:
    return 400, {"__type": name, "message": "words"}


def raw(name: str, status: int = 400) -> tuple[int, bytes]:
    return status, json.dumps(refusal(name)[1]).encode()


def table(status: str, create: Json, **more: Any) -> Json:
    return {
        "TableArn": f"arn:aws:dynamodb:us-west-2:1:table/{create['TableName']}",
        "TableId": "id-1",
        "TableStatus": status,
        "KeySchema": create["KeySchema"],
        "AttributeDefinitions": create["AttributeDefinitions"],
        "ItemCount": 12,
        **more,
    }


def existing(cloud: Cloud, **more: Any) -> None:
    request = {
        "TableName": "T",
        "KeySchema": [
            {"AttributeName": "at", "KeyType": "RANGE"},
            {"AttributeName": "id", "KeyType": "HASH"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "of an index", "AttributeType": "B"},
            {"AttributeName": "at", "AttributeType": "N"},
            {"AttributeName": "id", "AttributeType": "S"},
        ],
    }
    cloud.tables["T"] = table("ACTIVE", request, **more)


def run(cloud: Cloud, job: Callable[[ControlPlane], Coroutine[Any, Any, Any]]) -> Any:
    """Run `job` on virtual time; returns its result."""

    async def main() -> Any:
        clock = VirtualClock()
        signing = Signing(Signer("us-west-2"), Keys(), ServiceClock(clock.wall_s, clock.boottime_s))
        tables = Service(TABLES_API, Side.SOURCE, "https://h/", signing, cloud.transport, 20.0)
        streams = Service(STREAMS_API, Side.SOURCE, "https://s/", signing, cloud.transport, 20.0)
        return await job(ControlPlane(tables, clock, lambda: 0.5, streams))

    return run_virtual(main())


@pytest.mark.parametrize(
    "said, read, write",
    [
        ({}, None, None),
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 5}}, 10, 5),
        # What a provisioned table is warm for, it may not use.
        (
            {
                "ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 5},
                "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000},
            },
            10,
            5,
        ),
        (
            {
                **ON_DEMAND,
                "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
                "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000},
            },
            12000,
            4000,
        ),
        (
            {
                **ON_DEMAND,
                "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000},
                "OnDemandThroughput": {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": 100},
            },
            12000,
            100,
        ),
        (ON_DEMAND, None, None),
    ],
)
def test_what_a_table_can_do_at_once_is_as_it_says(said: Json, read: int | None, write: int | None) -> None:
    cloud = Cloud()
    existing(cloud, **said)
    assert run(cloud, lambda plane: plane.describe_table("T")).capacity == Throughput(read, write)


def test_a_table_is_described() -> None:
    cloud = Cloud()
    existing(cloud, LatestStreamArn="arn:old")
    facts = run(cloud, lambda plane: plane.describe_table("T"))
    assert (facts.table_id, facts.status, facts.schema) == ("id-1", "ACTIVE", PAIR)
    # A stream that was switched off still has the latest ARN.
    assert (facts.stream_arn, facts.stream_view_type) == (None, None)
    on = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    existing(cloud, LatestStreamArn="arn:new", StreamSpecification=on)
    facts = run(cloud, lambda plane: plane.describe_table("T"))
    assert (facts.stream_arn, facts.stream_view_type) == ("arn:new", "KEYS_ONLY")


def test_passing_failures_are_retried_and_others_are_not() -> None:
    cloud = Cloud()
    existing(cloud)
    cloud.script = [raw("ThrottlingException"), raw("InternalServerError", 500), None]
    assert run(cloud, lambda plane: plane.describe_table("T")).status == "ACTIVE"
    cloud.script = [raw("ThrottlingException")] * 9
    with pytest.raises(Throttled):
        run(cloud, lambda plane: plane.describe_table("T"))
    assert len(cloud.script) == 4
    cloud.script = [raw("AccessDeniedException")]
    with pytest.raises(AccessDenied, match="allow dynamodb:DescribeTable on table T"):
        run(cloud, lambda plane: plane.describe_table("T"))
    with pytest.raises(NotFound, match="table missing"):
        run(cloud, lambda plane: plane.describe_table("missing"))


KEYLESS = (
    b'{"Table": {"TableArn": "a", "TableStatus": "ACTIVE", "AttributeDefinitions": [], "KeySchema": '
    b'[{"AttributeName": "id", "KeyType": "HASH"}]}}'
)


@pytest.mark.parametrize(
    "body",
    [b'{"status": "ok"}', b'{"Table": {"TableName": "T"}}', b"{broken", b'{"Table": {"TableArn": "\xff"}}', KEYLESS],
)
def test_json_of_something_else_is_not_dynamodb(body: bytes) -> None:
    cloud = Cloud()
    cloud.script = [(200, body)]
    with pytest.raises(Stop, match="is not DynamoDB"):
        run(cloud, lambda plane: plane.describe_table("T"))


def test_a_created_table_is_waited_for() -> None:
    cloud = Cloud()
    facts = run(cloud, lambda plane: plane.create_table("T", PAIR, Encryption("arn:aws:kms:us-west-2:1:key/k")))
    assert (facts.status, facts.schema) == ("ACTIVE", PAIR)
    operation, asked = cloud.asked[0]
    assert operation == "CreateTable"
    assert asked == {
        "TableName": "T",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "at", "AttributeType": "N"},
        ],
        "KeySchema": [
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "at", "KeyType": "RANGE"},
        ],
        "SSESpecification": {
            "Enabled": True,
            "SSEType": "KMS",
            "KMSMasterKeyId": "arn:aws:kms:us-west-2:1:key/k",
        },
    }


def test_creating_what_is_there_leaves_it_as_it_is() -> None:
    cloud = Cloud()
    existing(cloud)
    assert run(cloud, lambda plane: plane.create_table("T", HASH_ONLY)).schema == PAIR
    # A lost answer: the second attempt meets the table of the first.
    cloud = Cloud()
    cloud.CreateTable({"TableName": "U", "KeySchema": [], "AttributeDefinitions": []})
    cloud.steps["U"][1].update(table("CREATING", {"TableName": "U", **_keys()}))
    cloud.script = [(500, b"")]
    assert run(cloud, lambda plane: plane.create_table("U", HASH_ONLY)).status == "ACTIVE"


def _keys() -> Json:
    return {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }


def test_a_table_that_never_becomes_active_is_not_waited_for_without_end() -> None:
    cloud = Cloud()
    existing(cloud)
    cloud.tables["T"]["TableStatus"] = "CREATING"
    with pytest.raises(Stop, match="table T is still CREATING after 300 s"):
        run(cloud, lambda plane: plane.create_table("T", PAIR))


def test_a_table_that_goes_away_is_not_waited_for() -> None:
    cloud = Cloud()
    existing(cloud)
    cloud.tables["T"]["TableStatus"] = "DELETING"
    with pytest.raises(Stop, match="table T is DELETING; start again when it is gone"):
        run(cloud, lambda plane: plane.create_table("T", PAIR))
    assert [operation for operation, _ in cloud.asked] == ["CreateTable", "DescribeTable"]


def test_a_stream_is_switched_on_and_waited_for() -> None:
    cloud = Cloud()
    existing(cloud)
    facts = run(cloud, lambda plane: plane.enable_stream("T"))
    assert (facts.stream_arn, facts.stream_view_type) == ("arn:stream", "NEW_AND_OLD_IMAGES")
    changes = [asked for operation, asked in cloud.asked if operation == "UpdateTable"]
    wanted = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert changes == [{"TableName": "T", "StreamSpecification": wanted}]
    assert [operation for operation, _ in cloud.asked].count("DescribeStream") == 2
    # Once more: nothing is left to do.
    run(cloud, lambda plane: plane.enable_stream("T"))
    assert [operation for operation, _ in cloud.asked].count("UpdateTable") == 1


def with_stream(cloud: Cloud) -> None:
    on = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    existing(cloud, LatestStreamArn="arn:stream", StreamSpecification=on)


def test_a_stream_is_switched_off_and_its_name_stays_known() -> None:
    cloud = Cloud()
    with_stream(cloud)
    run(cloud, lambda plane: plane.disable_stream("T"))
    facts = run(cloud, lambda plane: plane.describe_table("T"))
    assert (facts.stream_arn, facts.last_stream_arn) == (None, "arn:stream")
    run(cloud, lambda plane: plane.disable_stream("T"))
    assert [operation for operation, _ in cloud.asked].count("UpdateTable") == 1


def test_a_stream_that_a_lost_attempt_has_switched_off_is_off() -> None:
    cloud = Cloud()
    with_stream(cloud)
    cloud.script = [None, (500, b""), raw("ValidationException")]
    cloud.steps["T"] = [{}, {"StreamSpecification": {"StreamEnabled": False}}]
    run(cloud, lambda plane: plane.disable_stream("T"))
    with_stream(cloud)
    cloud.script = [None, raw("AccessDeniedException")]
    with pytest.raises(AccessDenied):
        run(cloud, lambda plane: plane.disable_stream("T"))


def test_a_stream_with_other_images_is_not_touched() -> None:
    cloud = Cloud()
    existing(cloud, LatestStreamArn="a", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    with pytest.raises(Refused, match="KEYS_ONLY, not NEW_AND_OLD_IMAGES"):
        run(cloud, lambda plane: plane.enable_stream("T"))
    assert {operation for operation, _ in cloud.asked} == {"DescribeTable"}


def test_an_unanswered_call_that_does_not_pass_is_passed_on() -> None:
    cloud = Cloud()
    cloud.script = [(503, b"")] * 9
    with pytest.raises(Unanswered):
        run(cloud, lambda plane: plane.create_table("T", PAIR))


@pytest.mark.parametrize(
    "description,encryption",
    [
        (None, None),
        ({"Status": "ENABLED", "SSEType": "AES256"}, None),
        ({"Status": "DISABLED", "SSEType": "KMS", "KMSMasterKeyArn": "k"}, None),
        ({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "k"}, Encryption("k")),
    ],
)
def test_encryption_is_read(description: Json | None, encryption: Encryption | None) -> None:
    cloud = Cloud()
    existing(cloud, **({"SSEDescription": description} if description else {}))
    assert run(cloud, lambda plane: plane.encryption("T")) == encryption


def test_a_key_stays_in_its_region() -> None:
    key = Encryption("arn:aws:kms:us-west-2:1:key/k")
    assert key.in_region("us-west-2") == key
    assert key.in_region("eu-west-1") == Encryption(None)
    assert Encryption(None).in_region("eu-west-1") == Encryption(None)


def test_where_tables_have_no_id_their_creation_tells_them_apart() -> None:
    def identity(created: float) -> str:
        cloud = Cloud()
        existing(cloud, TableId="", CreationDateTime=created)
        found: str = run(cloud, lambda plane: plane.describe_table("T")).table_id
        return found

    assert identity(1.5) == identity(1.5) != identity(1.501)
