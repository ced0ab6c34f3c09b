"""A table behind the bench, clients that go through it, and requests signed by hand: for the tests of the bench."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.bench.faults import Kind
from tests.bench.shards import ManyShards
from tests.bench.thread import ProxyThread
from tests.support.command import wait_until
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodbstreams import DynamoDBStreamsClient

REGION = "us-east-1"
SESSION = boto3.Session()


@dataclass
class Bench:
    """A table with its stream on, the proxy before it, and clients that go through the proxy."""

    local: DynamoDBLocal
    access_key: str
    thread: ProxyThread

    def __post_init__(self) -> None:
        self.proxy = self.thread.proxy
        self.faults = self.proxy.faults
        self.journal = self.proxy.journal
        self.arn = self.local.create_table(self.access_key, "Orders")
        self.serials = count()
        self.direct = self.local.client(self.access_key)
        self.tables: DynamoDBClient = self.client("dynamodb")
        self.streams: DynamoDBStreamsClient = self.client("dynamodbstreams")

    def client(
        self,
        service: str,
        secret: str = SECRET_KEY,
        key: str | None = None,
        token: str | None = None,
        timeout_s: float = 10.0,
    ) -> Any:
        """A client of boto3's that goes through the proxy, and attempts once."""
        return SESSION.client(  # type: ignore[call-overload]
            service,
            region_name=REGION,
            endpoint_url=self.thread.url,
            aws_access_key_id=key or self.access_key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=timeout_s, connect_timeout=timeout_s),
        )

    def put(self, name: str, client: "DynamoDBClient | None" = None, **more: Any) -> None:
        (client or self.tables).put_item(TableName="Orders", Item={"pk": {"S": name}, **more})

    def item(self, name: str) -> Any:
        """As DynamoDB Local has it, {} when it has none."""
        got = self.direct.get_item(TableName="Orders", Key={"pk": {"S": name}}, ConsistentRead=True)
        return got.get("Item", {})

    def has(self, name: str) -> bool:
        """Whether DynamoDB Local has the item."""
        return bool(self.item(name))

    def many(self, shards: int = 4) -> ManyShards:
        return self.thread.shard_stream((self.access_key, REGION), self.arn, shards)

    def write(self, names: list[str], into: ManyShards) -> None:
        """Write items, and wait until their records are in the shards."""
        wanted = into.counts["records"] + len(names)
        for name in names:
            # A write that changes nothing makes no record.
            self.put(name, self.direct, serial={"N": str(next(self.serials))})
        wait_until(lambda: into.counts["records"] >= wanted, 30)

    def iterator(self, shard_id: str, kind: str = "TRIM_HORIZON", **more: str) -> str:
        request: Any = {"StreamArn": self.arn, "ShardId": shard_id, "ShardIteratorType": kind, **more}
        return self.streams.get_shard_iterator(**request)["ShardIterator"]

    def read(self, iterator: str, limit: int = 1000) -> tuple[list[tuple[str, str]], str | None]:
        """Sequence numbers and keys of one page, and the next iterator."""
        page = self.streams.get_records(ShardIterator=iterator, Limit=limit)
        records = [(r["dynamodb"]["SequenceNumber"], r["dynamodb"]["Keys"]["pk"]["S"]) for r in page["Records"]]
        return records, page.get("NextShardIterator")

    def drain(self, shard_id: str) -> list[tuple[str, str]]:
        """A closed shard from its beginning to its end, or an open one to the first empty page."""
        iterator: str | None = self.iterator(shard_id)
        found: list[tuple[str, str]] = []
        while iterator is not None:
            records, iterator = self.read(iterator)
            found += records
            if not records and "EndingSequenceNumber" not in self.listed()[shard_id]["SequenceNumberRange"]:
                break
        return found

    def listed(self) -> dict[str, Any]:
        shards = self.streams.describe_stream(StreamArn=self.arn)["StreamDescription"]["Shards"]
        return {shard["ShardId"]: shard for shard in shards}


def error_of(call: Callable[[], object]) -> tuple[str, dict[str, Any]]:
    """The error's name and the whole answer."""
    with pytest.raises(ClientError) as failure:
        call()
    return failure.value.response["Error"]["Code"], dict(failure.value.response)


def struck(bench: Bench, kind: Kind, applied: bool) -> None:
    """The fault is counted once, and the journal has it."""
    assert bench.faults.counts == {kind: 1}
    [entry] = [entry for entry in bench.journal.entries if entry.fault]
    assert entry.fault == kind.value
    assert (entry.performed_at_s is not None) is applied


def signed_post(
    url: str, access_key: str, target: str, body: bytes, change: dict[str, Any] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """A POST by hand: status, headers by lower-case name, body. `change`: what happens to it after it was signed."""
    change = change or {}
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
    request = AWSRequest("POST", url + "/", headers, body)
    now = datetime.now(UTC) + timedelta(seconds=change.get("signed_at_s", 0))
    with patch("botocore.auth.get_current_datetime", lambda *_: now):
        SigV4Auth(Credentials(access_key, SECRET_KEY), "dynamodb", REGION).add_auth(request)
    sent: dict[str, Any] = {name.lower(): value for name, value in request.headers.items()}
    body = change.get("body", body)
    sent |= {name: value for name, value in change.items() if name not in ("body", "signed_at_s")}
    sent |= {"host": urlsplit(url).netloc, "content-length": str(len(body)), "connection": "close"}
    head = "\r\n".join(f"{name}: {value}" for name, value in sent.items() if value is not None)
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\n{head}\r\n\r\n".encode() + body)
        got = b""
        while b"\r\n\r\n" not in got:
            got += connection.recv(65536) or _ended()
        top, _, rest = got.partition(b"\r\n\r\n")
        lines = top.decode().split("\r\n")
        answered = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
        while len(rest) < int(answered["content-length"]):
            rest += connection.recv(65536) or _ended()
    return int(lines[0].split(" ")[1]), answered, rest


def _ended() -> bytes:
    raise ConnectionResetError("closed")
