"""A plan of two real tables is right, and nothing whatever was written for it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dynamirror.aws.connect import connect
from dynamirror.cli.plan_page import as_json, as_text
from dynamirror.engines.assemble import SystemClock
from dynamirror.engines.plan import Plan, PlanOptions, plan
from dynamirror.engines.plan_permissions import Answer
from dynamirror.engines.plan_run import run_plan
from dynamirror.model.finding import Severity
from dynamirror.model.task_name import state_table_name
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.settings.parse import settings_from
from tests.support.command import Command, bare_environ
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal
from tests.support.recording_proxy import RecordingProxy

SOURCE, DESTINATION = "us-east-1", "eu-west-1"
READS = {
    *("DescribeTable", "DescribeTimeToLive", "DescribeStream", "ListTables"),
    *("Scan", "Query", "GetItem", "BatchGetItem", "GetShardIterator", "GetRecords"),
}
# On a condition that no item meets, or with a key of no item.
TRIALS = {"DeleteItem", "PutItem", "UpdateItem", "BatchWriteItem"}
ITEMS = 60


class Stage:
    """Orders with items and an index, an empty Copy, and an endpoint before both that keeps count."""

    def __init__(self, local: DynamoDBLocal, access_key: str, proxy: RecordingProxy) -> None:
        self.local, self.access_key, self.proxy = local, access_key, proxy
        self.source, self.destination = local.client(access_key, SOURCE), local.client(access_key, DESTINATION)
        local.create_table(access_key, "Orders", SOURCE, {"pk": "S", "n": "N"})
        local.create_table(access_key, "Copy", DESTINATION, {"pk": "S", "n": "N"}, stream=None)
        for number in range(ITEMS):
            item = {"pk": {"S": f"item {number}"}, "n": {"N": str(number)}, "text": {"S": "x" * 1500}}
            self.source.put_item(TableName="Orders", Item=item)

    def settings(self, **more: Any) -> ReplicationSettings:
        base = {
            "source_region": SOURCE,
            "source_table": "Orders",
            "source_endpoint": self.proxy.url,
            "destination_region": DESTINATION,
            "destination_table": "Copy",
            "destination_endpoint": self.proxy.url,
        }
        return settings_from({**base, **more}, java_form=False, now_ms=0)

    def flags(self) -> list[str]:
        url = self.local.url
        flags = ["--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", url]
        return [
            *flags,
            "--destination-region",
            DESTINATION,
            "--destination-table",
            "Copy",
            "--destination-endpoint",
            url,
        ]

    async def plan(self, settings: ReplicationSettings) -> Plan:
        clock = SystemClock()
        async with connect(settings, {}, clock, lambda: 0.5) as connections:
            return await plan(connections, settings, clock, PlanOptions(changes_a_day=1e6))

    def contents(self) -> dict[str, Any]:
        """Every item and every table of both sides."""
        found: dict[str, Any] = {}
        for region, client in ((SOURCE, self.source), (DESTINATION, self.destination)):
            for table in client.list_tables()["TableNames"]:
                items = client.scan(TableName=table, ConsistentRead=True)["Items"]
                described = client.describe_table(TableName=table)["Table"]
                found[f"{region}/{table}"] = (sorted(map(str, items)), described)
        return found


@pytest.fixture
def stage(dynamodb_local: DynamoDBLocal, access_key: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with RecordingProxy(dynamodb_local.url) as proxy:
        yield Stage(dynamodb_local, access_key, proxy)


async def test_a_plan_is_right_and_writes_nothing(stage: Stage) -> None:
    before = stage.contents()
    settings = stage.settings(copy=True)
    found = await stage.plan(settings)
    assert stage.contents() == before
    assert stage.proxy.operations() <= READS | TRIALS
    assert found.ready, found.findings
    assert found.source is not None
    assert found.destination is not None
    assert found.estimate is not None
    assert (found.source.items, found.destination.items) == (ITEMS, 0)
    assert found.listing is not None
    assert len(found.listing.shards) == 1
    assert not found.joins
    # Items of 1.5 KB: two units each.
    assert found.estimate.copy.write_units == 2 * ITEMS
    answers = {(right.side.value, right.action): right.answer for right in found.rights}
    assert answers["source", "Scan"] is Answer.ALLOWED
    assert answers["source", "GetRecords"] is Answer.ALLOWED
    assert answers["destination", "DeleteItem"] is Answer.ALLOWED
    assert answers["destination", "PutItem"] is Answer.ALLOWED
    assert answers["destination", "BatchWriteItem"] is Answer.NOT_CHECKED
    assert answers["lease table", "CreateTable"] is Answer.NOT_CHECKED
    text, document = as_text(found), json.loads(as_json(found))
    assert document["ready"] is True
    assert f"{ITEMS} items" in text
    assert text.endswith("ready\n")


async def test_a_destination_with_items_and_a_task_that_is_there(stage: Stage) -> None:
    stage.destination.put_item(TableName="Copy", Item={"pk": {"S": "old"}, "n": {"N": "1"}})
    settings = stage.settings(copy=True)
    lease_table = settings.task.lease_table
    stage.local.create_table(stage.access_key, lease_table, SOURCE, {"leaseKey": "S"}, stream=None)
    state = state_table_name(lease_table)
    stage.local.create_table(stage.access_key, state, SOURCE, {"kind": "S", "id": "S"}, stream=None)
    stage.source.put_item(TableName=lease_table, Item={"leaseKey": {"S": "shard"}})
    before = stage.contents()
    found = await stage.plan(settings)
    assert stage.contents() == before
    assert found.joins
    answers = {(right.on, right.action): right.answer for right in found.rights}
    assert answers[lease_table, "UpdateItem"] is Answer.ALLOWED
    assert answers[state, "PutItem"] is Answer.ALLOWED
    assert not found.ready
    stops = [finding for finding in found.findings if finding.severity is Severity.STOP]
    assert [(stop.about, stop.what) for stop in stops] == [("destination", "it has items")]
    allowed = replace(settings, copy=replace(settings.copy, allow_non_empty=True))
    assert (await stage.plan(allowed)).ready
    assert stage.contents() == before


async def test_a_source_without_a_stream_and_a_destination_that_is_missing(stage: Stage) -> None:
    stage.local.create_table(stage.access_key, "Bare", SOURCE, stream=None)
    before = stage.contents()
    found = await stage.plan(stage.settings(source_table="Bare", destination_table="None"))
    assert stage.contents() == before
    assert found.exit_code == 1
    stops = {finding.about: finding for finding in found.findings if finding.severity is Severity.STOP}
    assert stops.keys() == {"stream", "destination"}
    assert "--enable-stream" in stops["stream"].do
    assert "create it with the key pk" in stops["destination"].do
    assert "not ready" in as_text(found)


async def test_rights_are_asked_for_with_keys_of_every_type(stage: Stage) -> None:
    for region in (SOURCE, DESTINATION):
        stage.local.create_table(stage.access_key, "Binary", region, {"id": "B", "n": "N"})
    before = stage.contents()
    found = await stage.plan(stage.settings(source_table="Binary", destination_table="Binary"))
    assert stage.contents() == before
    assert found.ready, found.findings
    answers = {(right.side.value, right.action): right.answer for right in found.rights}
    assert answers["destination", "PutItem"] is Answer.ALLOWED
    assert answers["source", "BatchGetItem"] is Answer.ALLOWED


def test_a_plan_from_settings_alone(stage: Stage) -> None:
    before = stage.contents()
    found = run_plan(stage.settings(copy=True), {})
    assert stage.contents() == before
    assert found.ready
    assert found.readers.mappings is None


@pytest.mark.parametrize("form", ["page", "json"])
def test_the_command_says_whether_all_is_ready(stage: Stage, tmp_path: Path, form: str) -> None:
    more = ["--json"] if form == "json" else []

    def planned(*flags: str) -> tuple[int, str]:
        with Command(
            ["plan", *stage.flags(), *flags, *more], tmp_path / "out", bare_environ(stage.access_key)
        ) as command:
            return command.process.wait(60), command.output

    code, output = planned("--copy", "--changes-a-day", "1000000", "--price", "write_million=1")
    assert code == 0
    assert ('"ready":true' in output.replace(" ", "")) if form == "json" else ("Orders" in output)
    stage.destination.put_item(TableName="Copy", Item={"pk": {"S": "mine"}, "n": {"N": "1"}})
    code, output = planned("--copy")
    assert code == 1
    assert "--allow-non-empty" in output


def test_the_command_shows_how_the_tables_are_defined_differently(stage: Stage, tmp_path: Path) -> None:
    before = stage.contents()
    with Command(
        ["plan", *stage.flags(), "--diff-schema"], tmp_path / "out", bare_environ(stage.access_key)
    ) as command:
        assert command.process.wait(60) == 0
    assert stage.contents() == before
    assert "differs stream stream: source NEW_AND_OLD_IMAGES, destination off" in " ".join(command.output.split())
