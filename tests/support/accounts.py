"""Three accounts in memory for the checks before the start: source, destination and the side of the leases.

Time is counted by sleeps, which pass at once.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dynamirror.aws.control_plane import Encryption
from dynamirror.engines.preflight import Facts, check
from dynamirror.errors import AccessDenied, DynamirrorError, ExitCode, NotFound, Side, Throttled
from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.model.task_name import lease_table_name, state_table_name
from dynamirror.ports import TableFacts
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.settings.parse import settings_from
from dynamirror.settings.values import Value

KEY = KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "N"))
BOTH = "NEW_AND_OLD_IMAGES"
LEASES = lease_table_name(None, ("us-east-1", "Orders"), ("eu-west-1", "Copy"))
STATE = state_table_name(LEASES)
REVERSE = lease_table_name(None, ("eu-west-1", "Copy"), ("us-east-1", "Orders"))
LEASE_KEY = KeySchema(KeyAttribute("leaseKey", "S"))
STATE_KEY = KeySchema(KeyAttribute("kind", "S"), KeyAttribute("id", "S"))
SHARD = "shardId-00000001700000000000-00000001"
MAKING = {"create_table", "enable_stream"}


class Time:
    """ports.Clock; a sleep passes at once and lets the world go on by that much."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.meanwhile: Callable[[], None] = lambda: None

    def boottime_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.now_s += delay_s
        self.meanwhile()


@dataclass
class Account:
    """One side: tables by name, rows by table, what was asked, and what is denied."""

    side: Side
    place: str
    url: str
    tables: dict[str, TableFacts] = field(default_factory=dict)
    rows: dict[str, dict[tuple[str, ...], Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    encrypted: dict[str, Encryption] = field(default_factory=dict)
    throttles: int = 0
    # Streams that can be described.
    streams: set[str] = field(default_factory=set)
    # What DescribeStream says of some of them.
    described: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, schema: KeySchema, **facts: Any) -> TableFacts:
        arn = f"arn:aws:dynamodb:{self.place}:table/{name}"
        self.tables[name] = TableFacts(arn, f"id of {arn}", schema, **{"status": "ACTIVE", **facts})
        self.rows.setdefault(name, {})
        return self.tables[name]

    def _ask(self, what: str, name: str) -> None:
        self.asked.append(f"{what} {name}")
        if what in self.denied or f"{what} {name}" in self.denied:
            raise AccessDenied(self.side, f"{what} on {name}: AccessDeniedException; allow dynamodb:{what}")

    async def describe_table(self, name: str) -> TableFacts:
        self._ask("describe_table", name)
        if name not in self.tables:
            raise NotFound(self.side, f"no {name}")
        return self.tables[name]

    async def encryption(self, name: str) -> Encryption | None:
        return self.encrypted.get(name)

    async def enable_stream(self, name: str) -> TableFacts:
        self._ask("enable_stream", name)
        self.tables[name] = replace(self.tables[name], stream_arn=f"stream of {name}", stream_view_type=BOTH)
        return self.tables[name]

    async def create_table(self, name: str, schema: KeySchema, encryption: Encryption | None = None) -> TableFacts:
        self._ask("create_table", name)
        if encryption is not None:
            self.encrypted[name] = encryption
        if name not in self.tables:
            return self.add(name, schema)
        self.tables[name] = replace(self.tables[name], status="ACTIVE")
        return self.tables[name]

    async def call(self, operation: str, body: bytes) -> bytes:
        request = json.loads(body)
        name = request["StreamArn"] if "StreamArn" in request else request["TableName"]
        self._ask(operation, name)
        if self.throttles:
            self.throttles -= 1
            raise Throttled(self.side, "not now")
        if operation == "DescribeStream":
            if name not in self.streams:
                raise NotFound(self.side, f"no {name}")
            said = {"StreamStatus": "ENABLED", "Shards": []} | self.described.get(name, {})
            return json.dumps({"StreamDescription": said}).encode()
        # One that is being created answers nothing yet (DynamoDB API: ResourceNotFoundException).
        if name not in self.tables or self.tables[name].status == "CREATING":
            raise NotFound(self.side, f"no {name}")
        rows = self.rows[name]
        if operation == "PutItem":
            item = request["Item"]
            rows[_id(item)] = item
            return b"{}"
        if operation == "GetItem":
            row = rows.get(_id(request["Key"]))
            return json.dumps({} if row is None else {"Item": row}).encode()
        assert operation in ("Scan", "Query")
        wanted = request.get("ExpressionAttributeValues", {}).get(":kind")
        return json.dumps({"Items": [r for r in rows.values() if wanted in (None, r.get("kind"))]}).encode()


def _id(item: Any) -> tuple[str, ...]:
    return tuple(item[name]["S"] for name in ("leaseKey", "kind", "id") if name in item)


class World:
    """Source Orders in us-east-1 with its stream on, destination Copy in eu-west-1, leases beside the source."""

    def __init__(self) -> None:
        self.source = Account(Side.SOURCE, "us-east-1:1", "http://east")
        self.destination = Account(Side.DESTINATION, "eu-west-1:1", "http://west")
        self.state = Account(Side.STATE, "us-east-1:1", "http://east")
        self.stream = Account(Side.SOURCE, "us-east-1:1", "http://east-streams")
        self.stream.streams |= {"stream of Orders", "x"}
        self.source.add("Orders", KEY, stream_arn="stream of Orders", stream_view_type=BOTH)
        self.destination.add("Copy", KEY)
        self.time = Time()

    @property
    def streams(self) -> Account:
        return self.stream

    @property
    def source_control(self) -> Account:
        return self.source

    @property
    def destination_control(self) -> Account:
        return self.destination

    @property
    def state_control(self) -> Account:
        return self.state

    async def check(self, java_form: bool = False, **flags: Value) -> Facts:
        return await check(self, settings(java_form, **flags), self.time)

    async def refused(self, code: ExitCode, java_form: bool = False, **flags: Value) -> str:
        """The one line that the start ends with; it must have changed no table."""
        with pytest.raises(DynamirrorError) as error:
            await self.check(java_form, **flags)
        assert error.value.exit_code == code
        assert "\n" not in str(error.value)
        assert not self.made
        return str(error.value)

    @property
    def made(self) -> list[str]:
        asked = self.source.asked + self.destination.asked + self.state.asked
        return [what for what in asked if what.split()[0] in MAKING]

    def reverse_rows(
        self, counter: int, owner: str | None = "w-java", checkpoint: str = "5", name: str = REVERSE
    ) -> None:
        """A reverse task with one lease, its stream on."""
        if name not in self.destination.tables:
            self.destination.add(name, LEASE_KEY)
        table = self.destination.tables["Copy"]
        self.destination.tables["Copy"] = replace(table, stream_arn="stream of Copy", stream_view_type=BOTH)
        self.destination.rows[name][SHARD,] = lease_row(counter, owner, checkpoint)


def lease_row(counter: int, owner: str | None, checkpoint: str) -> Any:
    row = {
        "leaseKey": {"S": SHARD},
        "leaseCounter": {"N": str(counter)},
        "checkpoint": {"S": checkpoint},
        "checkpointSubSequenceNumber": {"N": "0"},
        "ownerSwitchesSinceCheckpoint": {"N": "0"},
    }
    return row | ({"leaseOwner": {"S": owner}} if owner else {})


def settings(java_form: bool = False, **flags: Value) -> ReplicationSettings:
    pair: dict[str, Value] = {
        "source_region": "us-east-1",
        "source_table": "Orders",
        "destination_region": "eu-west-1",
        "destination_table": "Copy",
    }
    return settings_from(pair | flags, java_form, now_ms=0)
