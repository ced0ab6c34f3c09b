"""Which endpoint is asked for what, and signed for which Region: the command before recording endpoints."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.recording_proxy import RecordingProxy

SOURCE, DESTINATION, LEASES = "us-east-1", "eu-west-1", "ap-south-1"
BASE = ["--source-table", "Orders", "--destination-table", "Copy"]
REGIONS = ["--source-region", SOURCE, "--destination-region", DESTINATION]


@dataclass
class Stage:
    """DynamoDB Local behind as many recording endpoints as a test asks for."""

    local: DynamoDBLocal
    access_key: str
    log: Path
    stack: ExitStack
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.local.create_table(self.access_key, "Orders", SOURCE)
        self.local.create_table(self.access_key, "Copy", DESTINATION, stream=None)

    def proxy(self) -> RecordingProxy:
        return self.stack.enter_context(RecordingProxy(self.local.url))

    def replicate_one(self, *flags: str) -> None:
        """Run the command until one item has arrived and a checkpoint was saved."""
        environ = bare_environ(self.access_key) | self.environ
        destination = self.local.client(self.access_key, DESTINATION)
        with Command(["replicate", *BASE, *REGIONS, *flags], self.log, environ) as command:
            self.local.client(self.access_key, SOURCE).put_item(TableName="Orders", Item={"pk": {"S": "x"}})
            wait_until(lambda: destination.scan(TableName="Copy")["Count"] == 1, 60, command)
            assert command.terminate()[0] == 0


@pytest.fixture
def stage(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(dynamodb_local, access_key, tmp_path / "log", stack)


def test_each_end_is_signed_for_its_own_region(stage: Stage) -> None:
    source, destination = stage.proxy(), stage.proxy()
    stage.replicate_one("--source-endpoint", source.url, "--destination-endpoint", destination.url)
    assert source.regions("DynamoDB") == {SOURCE}
    assert source.regions("DynamoDBStreams") == {SOURCE}
    assert destination.regions("DynamoDB") == {DESTINATION}
    assert "BatchWriteItem" in destination.operations()
    assert "BatchWriteItem" not in source.operations()


@pytest.mark.parametrize("overridden", ["source", "destination"])
def test_one_end_only_is_overridden(stage: Stage, overridden: str) -> None:
    """The other end keeps its own endpoint: here the one that the environment names for the service."""
    override, own = stage.proxy(), stage.proxy()
    stage.environ |= {"AWS_ENDPOINT_URL_DYNAMODB": own.url, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": own.url}
    stage.replicate_one(f"--{overridden}-endpoint", override.url)
    writes_at = override if overridden == "destination" else own
    reads_at = own if overridden == "destination" else override
    assert "BatchWriteItem" in writes_at.operations()
    assert "GetRecords" in reads_at.operations()
    assert "BatchWriteItem" not in reads_at.operations()


def test_the_streams_endpoint_apart_from_the_source_endpoint(stage: Stage) -> None:
    source, streams, destination = stage.proxy(), stage.proxy(), stage.proxy()
    stage.replicate_one(
        *("--sourceEndpoint", source.url, "--sourceStreamsEndpoint", streams.url),
        *("--destinationEndpoint", destination.url),
    )
    assert source.regions("DynamoDBStreams") == set()
    assert streams.regions("DynamoDBStreams") == {SOURCE}
    assert streams.regions("DynamoDB") == set()


@pytest.mark.parametrize("kcl_region,signed_for", [(LEASES, LEASES), (None, SOURCE)])
def test_leases_on_a_third_endpoint(stage: Stage, kcl_region: str | None, signed_for: str) -> None:
    both, leases = stage.proxy(), stage.proxy()
    region = ["--kcl-region", kcl_region] if kcl_region else []
    stage.replicate_one(
        "--source-endpoint", both.url, "--destination-endpoint", both.url, "--kcl-endpoint", leases.url, *region
    )
    assert leases.regions("DynamoDB") == {signed_for}
    assert "UpdateItem" in leases.operations()
    assert "UpdateItem" not in both.operations()


def test_without_a_kcl_endpoint_the_leases_are_at_the_source_endpoint(stage: Stage) -> None:
    source, destination = stage.proxy(), stage.proxy()
    stage.replicate_one("--source-endpoint", source.url, "--destination-endpoint", destination.url)
    assert "UpdateItem" in source.operations()
    assert destination.regions("DynamoDB") == {DESTINATION}
