"""A plan finds what is wrong, asks on when something is refused, and writes nothing whatever the service does."""

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.plan import Plan, PlanOptions, SchemaDiff
from dynamirror.engines.plan_judge import judge_settings
from dynamirror.engines.plan_permissions import Answer
from dynamirror.errors import AccessDenied, Refused, Side
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.finding import Finding, Severity
from dynamirror.model.table_differences import Difference
from dynamirror.model.table_differences import Severity as Weight
from dynamirror.model.task_name import lease_table_name
from dynamirror.settings.groups import HoldSettings
from dynamirror.testing.virtual_time import run_virtual
from tests.support.plan_cloud import LEASES, ON, STATE, STREAM, PlanWorld

STOP, WARN = Severity.STOP, Severity.WARN
T = TypeVar("T")


@pytest.fixture
def world() -> PlanWorld:
    return PlanWorld()


def run(work: Coroutine[Any, Any, T]) -> T:
    return run_virtual(work)


def found(plan: Plan, severity: Severity) -> dict[str, Finding]:
    """By what they are about."""
    return {finding.about: finding for finding in plan.findings if finding.severity is severity}


def answers(plan: Plan) -> dict[tuple[str, str], Answer]:
    return {(right.on, right.action): right.answer for right in plan.rights}


def test_all_is_well(world: PlanWorld) -> None:
    plan = run(world.plan(copy=True))
    assert plan.ready
    assert plan.exit_code == 0
    assert found(plan, WARN).keys() == {"readers", "permissions"}
    assert plan.estimate is not None
    assert plan.estimate.copy.write_units == 2000
    assert plan.estimate.copy.seconds == pytest.approx(0.5)


def test_each_trial_of_a_write_cannot_write(world: PlanWorld) -> None:
    world.leases()
    run(world.plan(copy=True))
    trials = [
        (operation, request)
        for cloud in (world.source, world.destination, world.state)
        for operation, request in cloud.asked
        if operation in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")
    ]
    assert {operation for operation, _ in trials} == {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"}
    for operation, request in trials:
        if operation == "BatchWriteItem":
            ((deletion,),) = request["RequestItems"].values()
            assert deletion["DeleteRequest"]["Key"].keys() & {"pk", "sk"} == set()
        else:
            assert request["ConditionExpression"] == "attribute_exists(#key) AND attribute_not_exists(#key)"
            assert len(request["ExpressionAttributeNames"]) == 1
    assert not world.source.written


def test_a_service_that_heeds_no_conditions_is_asked_for_nothing_that_would_put_an_item(world: PlanWorld) -> None:
    world.destination.put("Copy", {"pk": {"S": "x"}, "sk": {"N": "1"}})
    world.destination.heedless = True
    plan = run(world.plan_of_a_heedless_service())
    assert "PutItem" not in {operation for operation, _ in world.destination.asked}
    assert answers(plan)["Copy", "DeleteItem"] is Answer.NOT_CHECKED
    assert len(world.destination.database.items("Copy")) == 1


def test_a_right_that_is_denied_stops(world: PlanWorld) -> None:
    world.leases()
    world.destination.refusals["BatchWriteItem"] = "AccessDeniedException"
    world.streams.refusals["GetRecords"] = "AccessDeniedException"
    world.state.refusals["UpdateItem"] = "AccessDeniedException"
    plan = run(world.plan())
    denied = {right.action for right in plan.rights if right.answer is Answer.DENIED}
    assert denied == {"BatchWriteItem", "GetRecords", "UpdateItem"}
    assert not plan.ready
    assert found(plan, STOP)["permissions"].do.startswith("allow dynamodb:")


@pytest.mark.parametrize("name", ["ThrottlingException", "ValidationException", "InternalServerError"])
def test_what_proves_nothing_is_not_checked(world: PlanWorld, name: str) -> None:
    world.destination.refusals["DeleteItem"] = name
    plan = run(world.plan())
    assert answers(plan)["Copy", "DeleteItem"] is Answer.NOT_CHECKED
    assert answers(plan)["Copy", "PutItem"] is Answer.NOT_CHECKED
    assert plan.ready


def test_without_the_right_to_remove_rows_a_task_is_ready_all_the_same(world: PlanWorld) -> None:
    world.leases()
    plan = run(world.plan())
    assert plan.joins
    assert answers(plan)[LEASES, "UpdateItem"] is Answer.ALLOWED
    assert answers(plan)[LEASES, "DeleteItem"] is Answer.ALLOWED
    assert answers(plan)[STATE, "DeleteItem"] is Answer.ALLOWED
    world.state.refusals["DeleteItem"] = "AccessDeniedException"
    rights = run(world.plan()).rights
    assert [right.else_not for right in rights if right.answer is Answer.DENIED] == [
        "what is over stays listed there, and counted",
        "rows of finished shards stay there",
    ]


def test_that_figures_may_be_published_is_not_tried(world: PlanWorld) -> None:
    plan = run(world.plan(publish_cloudwatch=True))
    assert answers(plan)["CloudWatch", "PutMetricData"] is Answer.NOT_CHECKED
    [finding] = [finding for finding in plan.findings if "PutMetricData" in finding.what]
    assert not finding.known
    assert "figures are not published" in finding.do
    assert plan.ready
    assert ("CloudWatch", "PutMetricData") not in answers(run(world.plan()))


def test_missing_and_denied_tables_do_not_end_the_plan(world: PlanWorld) -> None:
    world.source.refusals["DescribeTable"] = "AccessDeniedException"
    plan = run(world.plan(destination_table="Nothing"))
    assert found(plan, STOP).keys() == {"source", "destination"}
    assert plan.source is None
    assert plan.estimate is None
    del world.source.refusals["DescribeTable"]
    del world.source.database.tables["Orders"]
    told = found(run(world.plan(destination_table="Nothing")), STOP)
    assert told["source"].what == "the source table Orders does not exist in us-east-1 (https://us-east-1.invalid/)"
    assert told["source"].do.startswith("check --source-table, --source-region")
    assert told["destination"].what.startswith("the destination table Nothing does not exist in eu-west-1 (https://")
    made = run(PlanWorld().plan(PlanOptions(create_destination=True), destination_table="Nothing"))
    assert made.ready
    assert made.estimate is not None


def test_keys_that_differ_and_indexes_that_clash(world: PlanWorld) -> None:
    index = {"IndexName": "by-at", "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}]}
    types = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "at")]
    world.destination.table("Other", {"pk": "S"}, GlobalSecondaryIndexes=[index], AttributeDefinitions=types)
    plan = run(world.plan(destination_table="Other"))
    assert "the key schemas differ" in found(plan, STOP)["keys"].what
    assert "by-at: only at the destination" in found(plan, WARN)["indexes"].what
    assert plan.estimate is not None
    assert plan.estimate.copy.write_units_most == 4000


def indexed(kind: str) -> dict[str, Any]:
    """More of a table with an index by `at`, of this type."""
    index = {"IndexName": "by-at", "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}]}
    types = [{"AttributeName": name, "AttributeType": one} for name, one in (("pk", "S"), ("sk", "N"), ("at", kind))]
    return {"GlobalSecondaryIndexes": [index], "AttributeDefinitions": types}


def test_an_index_of_another_type_than_the_sources_stops(world: PlanWorld) -> None:
    world.source.more["Orders"] |= indexed("S")
    world.destination.more["Copy"] |= indexed("S")
    assert run(world.plan()).ready
    world.destination.more["Copy"] |= indexed("N")
    stop = found(run(world.plan()), STOP)["indexes"]
    assert "attribute at: as a key of type S at the source, N at the destination" in stop.what
    assert stop.do


def test_settings_of_a_destination_that_cannot_be_made(world: PlanWorld, tmp_path: Path) -> None:
    path = tmp_path / "table.toml"

    def planned(text: str) -> Plan:
        path.write_text(text)
        more = {"destination_table": "Nothing", "create_destination": True, "destination_settings": path}
        return run(world.plan(PlanOptions(create_destination=True), **more))

    assert "no index nowhere" in found(planned("[indexes]\nnowhere = false"), STOP)["destination"].what
    slow = planned('billing = "provisioned"\nread_capacity = 1\nwrite_capacity = 1')
    assert slow.ready
    assert slow.estimate is not None
    assert slow.estimate.copy.rate.units_s == 1


def test_definitions_are_compared_only_when_asked_for(world: PlanWorld) -> None:
    differs = Difference(Weight.DIFFERS, "tags", "tag team: only at the source")

    async def compare() -> Sequence[Difference]:
        return [differs]

    async def denied() -> Sequence[Difference]:
        raise AccessDenied(Side.SOURCE, "words")

    assert run(world.plan()).schema is None
    plan = run(world.plan(PlanOptions(compare=compare)))
    assert plan.ready
    assert plan.schema == SchemaDiff("", (differs,))
    assert run(world.plan(PlanOptions(compare=denied))).schema == SchemaDiff("the tables cannot be compared: words")
    missing = run(world.plan(PlanOptions(compare=compare), destination_table="Nothing"))
    assert missing.schema == SchemaDiff("there is no table Nothing to compare the source with")


def test_time_to_live_of_the_destination_alone(world: PlanWorld) -> None:
    world.destination.ttl["Copy"] = "expires"
    assert "items vanish there" in found(run(world.plan()), WARN)["ttl"].what
    world.destination.refusals["DescribeTimeToLive"] = "AccessDeniedException"
    plan = run(world.plan())
    assert plan.ready
    assert "ttl" not in found(plan, WARN)


def test_the_stream(world: PlanWorld) -> None:
    world.source.more["Orders"] |= {"StreamSpecification": {"StreamEnabled": False}}
    assert found(run(world.plan()), STOP)["stream"].what.endswith("is off")
    world.streams.refusals["DescribeStream"] = "ResourceNotFoundException"
    assert run(world.plan(enable_stream=True)).ready
    world.streams.refusals["DescribeStream"] = "AccessDeniedException"
    assert "cannot be read" in found(run(world.plan(enable_stream=True)), STOP)["stream"].what
    world.source.more["Orders"] |= ON
    assert "DescribeStream" in found(run(world.plan()), STOP)["stream"].what


def test_marks_of_old_global_tables(world: PlanWorld) -> None:
    marks = {"aws:rep:updatetime": {"N": "1"}, "aws:rep:deleting": {"BOOL": False}}
    world.source.put("Orders", {"pk": {"S": "x"}, "sk": {"N": "1"}, **marks})
    warned = found(run(world.plan()), WARN)["source"]
    assert "aws:rep:deleting, aws:rep:updatetime" in warned.what
    assert "--drop-aws-rep" in warned.do
    assert "source" not in found(run(world.plan(drop_aws_rep=True)), WARN)


def test_a_replica_is_no_destination(world: PlanWorld) -> None:
    world.source.more["Orders"] |= {"Replicas": [{"RegionName": "eu-west-1"}, {"RegionName": "us-east-1"}]}
    plan = run(world.plan())
    assert plan.ready
    assert any("replicas in eu-west-1: AWS advises one reader" in finding.what for finding in plan.findings)
    world.destination.table("Orders", {"pk": "S", "sk": "N"})
    plan = run(world.plan(destination_table="Orders"))
    assert "is a replica of the source" in found(plan, STOP)["destination"].what


def test_readers_that_can_be_known(world: PlanWorld) -> None:
    other, java = "DynamoDBCrossRegionReplicationother", "DynamoDBCrossRegionReplicationjava"
    for name in (other, java):
        world.state.table(name, {"leaseKey": "S"})
    world.state.table(f"{other}-state", {"kind": "S", "id": "S"})
    arn = "arn:aws:dynamodb:us-east-1:1:table/Orders"
    key = {"kind": {"S": "task"}, "id": {"S": "pair"}, "schema": {"N": "1"}}
    world.state.put(f"{other}-state", {**key, "source": {"S": arn}, "destination": {"S": "any"}})

    async def mappings(stream_arn: str) -> Sequence[str]:
        assert stream_arn == STREAM
        return ["audit"]

    plan = run(world.plan(PlanOptions(mappings=mappings)))
    assert {task.lease_table: task.source_arn for task in plan.readers.tasks or ()} == {other: arn, java: None}
    said = found(plan, WARN)["readers"].what
    assert said.startswith(f"2 others read the stream, or may: Lambda audit, task {other}")
    world.state.refusals["ListTables"] = "AccessDeniedException"
    plan = run(world.plan(PlanOptions(mappings=mappings)))
    assert plan.readers.tasks is None
    assert found(plan, WARN)["readers"].what == "whether other tasks read the stream is not known"


def test_a_lease_table_that_is_something_elses(world: PlanWorld) -> None:
    world.state.table(LEASES, {"id": "S"})
    assert "belongs to something else" in found(run(world.plan()), STOP)["leases"].what


def test_a_task_name_that_stands_for_another_pair(world: PlanWorld) -> None:
    world.leases()
    east, west = "arn:aws:dynamodb:us-east-1:1:table/Orders", "arn:aws:dynamodb:eu-west-1:1:table/"
    key = {"kind": {"S": "task"}, "id": {"S": "pair"}, "schema": {"N": "1"}, "source": {"S": east}}
    world.state.put(STATE, {**key, "destination": {"S": f"{west}Copy"}})
    assert run(world.plan()).ready
    world.state.put(STATE, {**key, "destination": {"S": f"{west}Elsewhere"}})
    stop = found(run(world.plan()), STOP)["leases"]
    assert f"belongs to another pair: {east} to {west}Elsewhere" in stop.what


async def test_a_stream_that_the_task_does_not_follow_yet(world: PlanWorld) -> None:
    world.leases()
    life = Incarnation(world.state.database.tables[LEASES].facts["TableId"], "the old one")
    east, west = "arn:aws:dynamodb:us-east-1:1:table/Orders", "arn:aws:dynamodb:eu-west-1:1:table/Copy"
    state = StateTable(world.state, STATE, life)
    await state.remember_pair(east, west)
    await state.remember_tables("", "another")
    world.state.written.clear()
    plan = await world.plan()
    warned = found(plan, WARN)["stream"]
    assert f"follows another stream (the old one) than the source table has now ({STREAM})" in warned.what
    assert "--on-gap" in warned.do
    assert "made anew" in found(plan, STOP)["destination"].what


async def test_what_the_tasks_own_copy_has_written_is_no_reason_to_refuse_it(world: PlanWorld) -> None:
    world.leases()
    world.destination.put("Copy", {"pk": {"S": "x"}, "sk": {"N": "1"}})
    assert not (await world.plan(copy=True)).ready
    life = Incarnation(world.state.database.tables[LEASES].facts["TableId"], STREAM)
    await CopyRows(world.state, STATE, life).put_copy(Copy(Phase.ANNOUNCED, 64, 0, was_empty=True), None)
    world.state.written.clear()
    plan = await world.plan(copy=True)
    assert plan.ready
    assert "begun before, and is" in found(plan, Severity.READY)["copy"].what


async def began(world: PlanWorld, destination_id: str) -> None:
    """A task that is under way, with this destination."""
    world.leases()
    life = Incarnation(world.state.database.tables[LEASES].facts["TableId"], STREAM)
    await StateTable(world.state, STATE, life).remember_tables("", destination_id)
    world.state.written.clear()


async def test_a_destination_that_is_not_the_tasks_own_any_more(world: PlanWorld) -> None:
    await began(world, "another")
    plan = await world.plan()
    assert not plan.ready
    finding = found(plan, STOP)["destination"]
    assert finding.what.startswith("the destination table Copy was deleted and made anew since the task")
    assert finding.do.startswith("to start over, stop all workers of the task")
    assert finding.side is Side.DESTINATION


async def test_a_destination_that_is_gone_and_would_be_made_for_a_task_under_way(world: PlanWorld) -> None:
    await began(world, "another")
    del world.destination.database.tables["Copy"]
    plan = await world.plan(PlanOptions(create_destination=True), create_destination=True)
    (finding,) = [one for one in plan.findings if one.about == "destination"]
    assert finding.severity is STOP
    assert finding.what.startswith("the destination table Copy is gone since the task")


async def test_the_tasks_own_destination_is_as_it_should_be(world: PlanWorld) -> None:
    await began(world, world.destination.database.tables["Copy"].facts["TableId"])
    assert (await world.plan()).ready


async def test_a_destination_of_an_earlier_life_of_the_task_says_nothing(world: PlanWorld) -> None:
    world.leases()
    await StateTable(world.state, STATE, Incarnation("earlier leases", STREAM)).remember_tables("", "another")
    world.state.written.clear()
    assert (await world.plan()).ready


def test_times_that_do_not_go_together(world: PlanWorld) -> None:
    assert not list(judge_settings(world.settings()))
    (stop,) = judge_settings(replace(world.settings(), hold=HoldSettings(hold_s=1)))
    assert stop.severity is STOP
    assert "changes must wait longer than" in stop.what


def test_a_task_the_other_way_is_pointed_out(world: PlanWorld) -> None:
    reverse = lease_table_name(None, ("eu-west-1", "Copy"), ("us-east-1", "Orders"))
    world.destination.table(reverse, {"leaseKey": "S"})
    assert reverse in found(run(world.plan()), WARN)["loop"].what


def test_a_slow_destination(world: PlanWorld) -> None:
    slow = run(world.plan(PlanOptions(write_rate=0.01)))
    assert "2.3 days" in found(slow, WARN)["capacity"].what
    capacity = {"BillingModeSummary": {"BillingMode": "PROVISIONED"}}
    world.destination.more["Copy"] |= capacity
    assert found(run(world.plan()), STOP)["capacity"].what == "the destination takes no writes"


def test_an_amount_that_is_no_price_is_refused_before_anything_is_asked(world: PlanWorld) -> None:
    with pytest.raises(Refused, match="writes"):
        run(world.plan(PlanOptions(prices={"writes": 1})))
    assert not world.source.asked
