"""Every port, in memory and over HTTP on DynamoDB Local, on request on an AWS account; those of tables also as the
production adapters see them on a DynamoDB in memory. What a test wants to see behind a port, it gets too.
"""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import pytest

from dynamirror.aws.credential_chain import chain, new_session
from dynamirror.aws.credentials import Credentials
from dynamirror.aws.endpoints import STREAMS, TABLES, endpoint_url
from dynamirror.aws.http import HttpPool, tls_context
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.service import STREAMS_API, TABLES_API, Service, ServiceClock, Signing
from dynamirror.aws.sigv4 import Signer
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.streams import DynamoDBStream
from dynamirror.aws.tables import BatchWriter
from dynamirror.aws.wire import Caller
from dynamirror.errors import Side
from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.ports import ChangeStream, DestinationTable, LeaseStore
from dynamirror.state_ports import StateStore
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.memory_state import MemoryLeases, MemoryState
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.memory_table import MemorySource, MemoryTable
from dynamirror.testing.virtual_time import VirtualClock
from tests.support import account
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal
from tests.support.memory_caller import MemoryCaller, create_table

REGION = "us-east-1"
CODEC = KeyCodec(KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "N")))
KEYS = {"pk": "S", "sk": "N"}


class Tables(Protocol):
    """A DynamoDB that this test has for itself."""

    def caller(self, side: Side) -> Caller:
        """For an adapter of that side."""

    def create(self, table: str, keys: dict[str, str]) -> None:
        """Create a table."""


@dataclass(frozen=True, slots=True)
class Local:
    """A service, as this test may use it."""

    services: Mapping[Side, Caller]
    streams: Caller
    # Creates a table of that name and keys, with its stream on or not; returns the stream's ARN.
    make: Callable[[str, dict[str, str], bool], str]

    def caller(self, side: Side) -> Caller:
        """For an adapter of that side."""
        return self.services[side]

    def create(self, table: str, keys: dict[str, str]) -> None:
        """Create a table."""
        self.make(table, keys, False)

    def create_streaming(self, table: str, keys: dict[str, str]) -> str:
        """Create a table; returns its stream's ARN."""
        return self.make(table, keys, True)


@dataclass(frozen=True, slots=True)
class Memory:
    """The tables of a DynamoDB in memory."""

    database: MemoryDynamoDB

    def caller(self, side: Side) -> Caller:
        """For an adapter of that side."""
        return MemoryCaller(side, self.database)

    def create(self, table: str, keys: dict[str, str]) -> None:
        """Create a table."""
        create_table(self.database, table, keys)


async def call(tables: Tables, operation: str, **request: Any) -> dict[str, Any]:
    """A call beside the port."""
    body = msgspec.json.encode(request)
    answer: dict[str, Any] = msgspec.json.decode(await tables.caller(Side.SOURCE).call(operation, body))
    return answer


class _Keys:
    """Credentials that never change."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def current(self) -> Credentials:
        return self._credentials

    async def refresh(self, refused: Credentials) -> None:
        raise AssertionError("these credentials were refused")


LOCAL = pytest.param("dynamodb-local", marks=pytest.mark.local)
# Making a table, and what a stream does, takes its time there.
AWS = pytest.param("aws", marks=[pytest.mark.real, pytest.mark.timeout(400)])


@pytest.fixture(params=["ports-in-memory", "dynamodb-in-memory", LOCAL, AWS])
def backend(request: pytest.FixtureRequest) -> str:
    """What stands behind the ports."""
    return str(request.param)


@pytest.fixture
def server(backend: str, request: pytest.FixtureRequest) -> DynamoDBLocal | None:
    """DynamoDB Local, or None in memory."""
    found: DynamoDBLocal | None = request.getfixturevalue("dynamodb_local") if backend == "dynamodb-local" else None
    return found


@pytest.fixture
async def local(backend: str, server: DynamoDBLocal | None, access_key: str) -> AsyncIterator[Local | None]:
    """The services of a database of this test's own."""
    async with AsyncExitStack() as stack:
        if backend == "aws":
            yield await _account(stack)
        elif server is not None:
            yield await _server(stack, server, access_key)
        else:
            yield None


async def _server(stack: AsyncExitStack, server: DynamoDBLocal, access_key: str) -> Local:
    keys = _Keys(Credentials(access_key, SECRET_KEY))
    signing = Signing(Signer(REGION), keys, ServiceClock(lambda: 1_700_000_000.0, time.monotonic))
    pool = await stack.enter_async_context(HttpPool(Side.STATE, {}, tls_context(None)))
    services = {side: Service(TABLES_API, side, server.url, signing, pool.send, 10.0) for side in Side}

    def make(table: str, attributes: dict[str, str], streaming: bool) -> str:
        view: Any = "NEW_AND_OLD_IMAGES" if streaming else None
        return server.create_table(access_key, table, REGION, attributes, view)

    return Local(services, Service(STREAMS_API, Side.SOURCE, server.url, signing, pool.send, 10.0), make)


async def _account(stack: AsyncExitStack) -> Local:
    region, session = account.SOURCE, new_session(None, account.SOURCE)
    tables_url = endpoint_url(session, TABLES, region, account.ENDPOINT)
    streams_url = endpoint_url(session, STREAMS, region, account.ENDPOINT)
    there = stack.enter_context(account.Account(region))
    keys = _Keys(await chain(None, region, Side.STATE)())
    signing = Signing(Signer(region), keys, ServiceClock(time.time, time.monotonic))
    pool = await stack.enter_async_context(HttpPool(Side.STATE, os.environ, tls_context(None)))
    services = {
        side: account.Renamed(Service(TABLES_API, side, tables_url, signing, pool.send, 10.0), there.prefix)
        for side in Side
    }
    return Local(services, Service(STREAMS_API, Side.SOURCE, streams_url, signing, pool.send, 10.0), there.create)


@pytest.fixture
def tables(backend: str, local: Local | None) -> Tables | None:
    """A DynamoDB for the adapters; None for the ports in memory."""
    return Memory(MemoryDynamoDB()) if backend == "dynamodb-in-memory" else local


@pytest.fixture
def leases(tables: Tables | None) -> LeaseStore:
    """An empty lease table."""
    if tables is None:
        return MemoryLeases()
    tables.create("leases", {"leaseKey": "S"})
    return LeaseTable(tables.caller(Side.STATE), "leases")


@pytest.fixture
def state_of(tables: Tables | None) -> Callable[[str], StateStore]:
    """One empty state table, seen from the life of the task that is named."""
    if tables is None:
        rows: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
        return lambda life: MemoryState(life, rows=rows)
    tables.create("state", {"kind": "S", "id": "S"})
    caller = tables.caller(Side.STATE)
    return lambda life: StateTable(caller, "state", Incarnation(life, "arn:stream"))


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination table and a look behind it."""

    table: DestinationTable
    memory: MemoryTable | None
    tables: Tables | None

    async def items(self) -> Mapping[Key, Item]:
        """What stands in the table, by key."""
        if self.memory is not None:
            return self.memory.items
        assert self.tables is not None
        found = (await call(self.tables, "Scan", TableName="destination", ConsistentRead=True))["Items"]
        return {CODEC.of(msgspec.json.encode(item)): item for item in found}


@pytest.fixture
def destination(tables: Tables | None) -> Destination:
    """An empty destination table."""
    if tables is None:
        memory = MemoryTable(CODEC)
        return Destination(memory, memory, None)
    tables.create("destination", KEYS)
    return Destination(BatchWriter(tables.caller(Side.DESTINATION), "destination", CODEC), None, tables)


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
    # How long a record may be on its way into the stream.
    delay_s: float = 0.0


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
        await call(self._local, "PutItem", TableName="source", Item=item)

    async def delete(self, key: Item) -> None:
        await call(self._local, "DeleteItem", TableName="source", Key=key)


@pytest.fixture
async def source(backend: str, local: Local | None) -> Source:
    """An empty source table whose stream is on."""
    if local is None:
        memory = MemoryStream(VirtualClock())

        async def memory_off() -> None:
            memory.disable()

        return Source(_MemoryWriter(MemorySource(CODEC, memory)), memory, memory_off)
    there = local
    arn = local.create_streaming("source", KEYS)

    async def local_off() -> None:
        await call(there, "UpdateTable", TableName="source", StreamSpecification={"StreamEnabled": False})

    delay_s = 60.0 if backend == "aws" else 0.0
    return Source(_LocalWriter(local), DynamoDBStream(local.streams, arn), local_off, delay_s)
