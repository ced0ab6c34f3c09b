"""Every port twice: in memory, and over HTTP on DynamoDB Local. What a test wants to see behind a port, it gets too."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import pytest

from dynamirror.aws.credentials import Credentials
from dynamirror.aws.http import HttpPool, tls_context
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.service import STREAMS_API, TABLES_API, Service, ServiceClock, Signing
from dynamirror.aws.sigv4 import Signer
from dynamirror.aws.state_table import Incarnation, StateTable
from dynamirror.aws.streams import DynamoDBStream
from dynamirror.aws.tables import BatchWriter
from dynamirror.errors import Side
from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.ports import ChangeStream, DestinationTable, LeaseStore, StateStore
from dynamirror.testing.memory_state import MemoryLeases, MemoryState
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.memory_table import MemorySource, MemoryTable
from dynamirror.testing.virtual_time import VirtualClock
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal

REGION = "us-east-1"
CODEC = KeyCodec(KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "N")))
KEYS = {"pk": "S", "sk": "N"}


@dataclass(frozen=True, slots=True)
class Local:
    """DynamoDB Local, as this test may use it."""

    server: DynamoDBLocal
    access_key: str
    tables: Service
    streams: Service

    def create(self, table: str, keys: dict[str, str], stream: bool = False) -> str:
        """Create a table; returns the stream's ARN."""
        return self.server.create_table(
            self.access_key, table, REGION, keys, stream="NEW_AND_OLD_IMAGES" if stream else None
        )

    async def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """A call beside the port."""
        answer: dict[str, Any] = msgspec.json.decode(await self.tables.call(operation, msgspec.json.encode(request)))
        return answer


class _Keys:
    """Credentials that never change."""

    def __init__(self, access_key: str) -> None:
        self._credentials = Credentials(access_key, SECRET_KEY)

    def current(self) -> Credentials:
        return self._credentials

    async def refresh(self, refused: Credentials) -> None:
        raise AssertionError("DynamoDB Local refuses no credentials")


@pytest.fixture(params=["memory", pytest.param("dynamodb-local", marks=pytest.mark.local)])
def server(request: pytest.FixtureRequest) -> DynamoDBLocal | None:
    """DynamoDB Local, or None for the ports in memory."""
    found: DynamoDBLocal | None = (
        request.getfixturevalue("dynamodb_local") if request.param == "dynamodb-local" else None
    )
    return found


@pytest.fixture
async def local(server: DynamoDBLocal | None, access_key: str) -> AsyncIterator[Local | None]:
    """The services of a database of this test's own."""
    if server is None:
        yield None
        return
    signing = Signing(Signer(REGION), _Keys(access_key), ServiceClock(lambda: 1_700_000_000.0))
    async with HttpPool(Side.STATE, {}, tls_context(None)) as pool:
        tables = Service(TABLES_API, Side.STATE, server.url, signing, pool.send, 10.0)
        streams = Service(STREAMS_API, Side.SOURCE, server.url, signing, pool.send, 10.0)
        yield Local(server, access_key, tables, streams)


@pytest.fixture
def leases(local: Local | None) -> LeaseStore:
    """An empty lease table."""
    if local is None:
        return MemoryLeases()
    local.create("leases", {"leaseKey": "S"})
    return LeaseTable(local.tables, "leases")


@pytest.fixture
def state_of(local: Local | None) -> Callable[[str], StateStore]:
    """One empty state table, seen from the life of the task that is named."""
    if local is None:
        rows: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
        return lambda life: MemoryState(life, rows=rows)
    local.create("state", {"kind": "S", "id": "S"})
    tables = local.tables
    return lambda life: StateTable(tables, "state", Incarnation(life, "arn:stream"))


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination table and a look behind it."""

    table: DestinationTable
    memory: MemoryTable | None
    local: Local | None

    async def items(self) -> Mapping[Key, Item]:
        """What stands in the table, by key."""
        if self.memory is not None:
            return self.memory.items
        assert self.local is not None
        found = (await self.local.call("Scan", TableName="destination"))["Items"]
        return {CODEC.of(msgspec.json.encode(item)): item for item in found}


@pytest.fixture
def destination(local: Local | None) -> Destination:
    """An empty destination table."""
    if local is None:
        memory = MemoryTable(CODEC)
        return Destination(memory, memory, None)
    local.create("destination", KEYS)
    return Destination(BatchWriter(local.tables, "destination", CODEC), None, local)


class Writer(Protocol):
    """What an application does to the source table."""

    async def put(self, item: Item) -> None:
        """PutItem."""

    async def delete(self, key: Item) -> None:
        """DeleteItem."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source table and its stream."""

    writer: Writer
    stream: ChangeStream
    switch_off: Callable[[], Awaitable[None]]


class _MemoryWriter:
    def __init__(self, source: MemorySource) -> None:
        self._source = source

    async def put(self, item: Item) -> None:
        self._source.put(item)

    async def delete(self, key: Item) -> None:
        self._source.delete(key)


class _LocalWriter:
    def __init__(self, local: Local) -> None:
        self._local = local

    async def put(self, item: Item) -> None:
        await self._local.call("PutItem", TableName="source", Item=item)

    async def delete(self, key: Item) -> None:
        await self._local.call("DeleteItem", TableName="source", Key=key)


@pytest.fixture
async def source(local: Local | None) -> Source:
    """An empty source table whose stream is on."""
    if local is None:
        memory = MemoryStream(VirtualClock())

        async def memory_off() -> None:
            memory.disable()

        return Source(_MemoryWriter(MemorySource(CODEC, memory)), memory, memory_off)
    there = local
    arn = local.create("source", KEYS, stream=True)

    async def local_off() -> None:
        await there.call("UpdateTable", TableName="source", StreamSpecification={"StreamEnabled": False})

    return Source(_LocalWriter(local), DynamoDBStream(local.streams, arn), local_off)
