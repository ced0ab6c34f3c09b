"""What a plan looks at: both tables, a few items, the stream, and who reads it. Every call here only reads.

What may not be asked, or is not offered, is None: not known. A table that is missing, or may not be described, is a
refusal to be shown.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.faults import NotOffered, not_dynamodb
from dynamirror.aws.state_rows import PAIR, TASK, Incarnation, StateRows, begun_stream, pair_of
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.streams import DynamoDBStream
from dynamirror.aws.table_requests import TableDescription
from dynamirror.aws.wire import UNREADABLE, encode
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Control, Endpoint
from dynamirror.engines.waiting import Question, answered
from dynamirror.errors import AccessDenied, DynamirrorError, NotFound, Retry, Side, Stop
from dynamirror.model.copy import Copy
from dynamirror.model.replica_marks import MARK_PREFIX
from dynamirror.model.shard_graph import Listing
from dynamirror.model.table_definition import TableDefinition
from dynamirror.model.task_name import LEASE_TABLE_PREFIX, state_table_name
from dynamirror.ports import Clock, TableFacts

# Items that are looked at for marks; up to 1 MB is read for them.
SAMPLE_ITEMS = 10
# Names of tables that are gone through (100 a page), and tasks whose pair is looked at.
_NAME_PAGES_MAX = 100
_TASKS_MAX = 50

T = TypeVar("T")

# The Lambda functions (or other readers) of a stream's ARN.
Mappings = Callable[[str], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class TableSeen:
    """A table as it is described now."""

    name: str
    region: str
    url: str
    facts: TableFacts
    definition: TableDefinition
    # As of the service's last count, up to six hours ago.
    items: int
    size_bytes: int
    # Regions of its replicas, its own not among them.
    replicas: tuple[str, ...] = ()
    # "2017.11.29" or "2019.11.21"; empty: no global table, or not said.
    global_version: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """A few items of a table."""

    looked_at: int
    # Attributes of old global tables.
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskSeen:
    """A lease table; whether anybody works on it was not looked at."""

    lease_table: str
    # The ARN of the table that it reads; None: not known (a task of the Java tool has none).
    source_arn: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to ask, and with which patience."""

    endpoint: Endpoint
    side: Side
    clock: Clock

    async def call(self, operation: str, request: dict[str, Any], what: str, shape: type[T]) -> T:
        """A call that only reads, again while what is wrong is passing. Raises Stop, Retry."""
        assert operation.startswith(("Describe", "List", "Get", "BatchGet", "Scan")), f"{operation} may write"
        body = encode(request)
        answer = await self.patient(f"{operation} of {what}", lambda: self.endpoint.call(operation, body))
        try:
            return msgspec.json.decode(answer, type=shape)
        except UNREADABLE as failure:
            raise not_dynamodb(self.side, self.endpoint.url, 200) from failure

    async def patient(self, what: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """`call`, up to five times, each within its time."""
        question = Question(self.side, self.endpoint.url, what)
        return await patiently(self.clock, question, lambda: answered(question, call()))


class _Replica(msgspec.Struct, rename="pascal"):
    region_name: str = ""


class _Extent(msgspec.Struct, rename="pascal"):
    item_count: int = 0
    table_size_bytes: int = 0
    replicas: list[_Replica] = msgspec.field(default_factory=list)
    global_table_version: str = ""


class _Described(msgspec.Struct, rename="pascal"):
    table: msgspec.Raw


class _Ttl(msgspec.Struct, rename="pascal"):
    time_to_live_status: str = "DISABLED"
    attribute_name: str | None = None


class _DescribedTtl(msgspec.Struct):
    ttl: _Ttl = msgspec.field(name="TimeToLiveDescription", default_factory=_Ttl)


class _Items(msgspec.Struct, rename="pascal"):
    items: list[dict[str, msgspec.Raw]]


class _Names(msgspec.Struct, rename="pascal"):
    table_names: list[str]
    last_evaluated_table_name: str | None = None


async def read_table(asked: Asked, control: Control, name: str, region: str) -> TableSeen:
    """A table, or a refusal: NotFound, AccessDenied, other Stop, or a Retry that did not pass."""
    facts = await control.describe_table(name)
    described = await asked.call("DescribeTable", {"TableName": name}, name, _Described)
    try:
        definition = msgspec.json.decode(described.table, type=TableDescription).definition()
        extent = msgspec.json.decode(described.table, type=_Extent)
    except (KeyError, *UNREADABLE) as failure:
        raise not_dynamodb(asked.side, asked.endpoint.url, 200) from failure
    return TableSeen(
        name,
        region,
        asked.endpoint.url,
        facts,
        await _with_ttl(asked, name, definition),
        extent.item_count,
        extent.table_size_bytes,
        tuple(one.region_name for one in extent.replicas if one.region_name != region),
        extent.global_table_version,
    )


async def _with_ttl(asked: Asked, name: str, definition: TableDefinition) -> TableDefinition:
    """Tags and recovery are not asked for; time to live may not be offered, or not allowed."""
    unoffered = frozenset({"tags", "recovery_days"})
    try:
        ttl = (await asked.call("DescribeTimeToLive", {"TableName": name}, name, _DescribedTtl)).ttl
    except (NotOffered, AccessDenied, Retry):
        return replace(definition, unoffered=unoffered | {"ttl"})
    attribute = ttl.attribute_name if ttl.time_to_live_status in ("ENABLED", "ENABLING") else None
    return replace(definition, ttl=attribute, unoffered=unoffered)


async def sample_items(asked: Asked, table: str, items_max: int = SAMPLE_ITEMS) -> Sample | None:
    """The first items of a Scan, for what they carry besides the operator's own; None: not known."""
    request = {"TableName": table, "Limit": items_max}
    with suppress(Stop, Retry):
        items = (await asked.call("Scan", request, table, _Items)).items
        marks = {name for item in items for name in item if name.startswith(MARK_PREFIX)}
        return Sample(len(items), tuple(sorted(marks)))
    return None


async def list_shards(asked: Asked, stream_arn: str) -> Listing | DynamirrorError:
    """The shards of the source's stream, or why they cannot be listed."""
    stream = DynamoDBStream(asked.endpoint, stream_arn, sleep=asked.clock.sleep)
    try:
        # Many pages may take longer than one answer is waited for.
        return await patiently(asked.clock, f"DescribeStream of {stream_arn}", stream.list_shards)
    except (Stop, Retry) as error:
        return error


async def find_tasks(asked: Asked) -> tuple[TaskSeen, ...] | None:
    """The tasks whose leases are where ours will be, dynamirror's and the Java tool's; None: not known."""
    try:
        names = await _table_names(asked)
        return tuple([await _task(asked, name, names) for name in _lease_tables(names)[:_TASKS_MAX]])
    except (Stop, Retry):
        return None


def _lease_tables(names: set[str]) -> list[str]:
    tables = {name for name in names if name.startswith(LEASE_TABLE_PREFIX)}
    return sorted(tables - {state_table_name(name) for name in tables})


async def _table_names(asked: Asked) -> set[str]:
    names: set[str] = set()
    request: dict[str, Any] = {"Limit": 100}
    for _ in range(_NAME_PAGES_MAX):
        page = await asked.call("ListTables", request, "the lease tables", _Names)
        names.update(page.table_names)
        if page.last_evaluated_table_name is None:
            break
        request["ExclusiveStartTableName"] = page.last_evaluated_table_name
    return names


async def _task(asked: Asked, lease_table: str, names: set[str]) -> TaskSeen:
    state = state_table_name(lease_table)
    pair = await read_pair(asked, state) if state in names else None
    return TaskSeen(lease_table, pair[0] if pair is not None else None)


async def read_pair(asked: Asked, state_table: str) -> tuple[str, str] | None:
    """The ARNs of the two tables that a task's name stands for; None: there is no such row, or it is not to be seen."""
    rows = StateRows(asked.endpoint, state_table, Incarnation("", ""))
    try:
        return pair_of(await asked.patient(f"GetItem of {state_table}", lambda: rows.row(TASK, PAIR)))
    except (Stop, Retry):
        return None


async def read_followed(asked: Asked, state_table: str, lease_table_id: str) -> str | None:
    """The stream in whose life the task is; None: it has begun with none, or that is not to be seen."""
    rows = StateRows(asked.endpoint, state_table, Incarnation(lease_table_id, ""))
    try:
        return begun_stream(
            await asked.patient(f"GetItem of {state_table}", lambda: rows.row(TASK, PAIR)), lease_table_id
        )
    except (Stop, Retry):
        return None


async def read_copy(asked: Asked, state_table: str, life: Incarnation) -> Copy | None:
    """The task's copy; None: it has none, or it is not to be seen."""
    try:
        return await asked.patient(f"GetItem of {state_table}", CopyRows(asked.endpoint, state_table, life).copy)
    except (Stop, Retry):
        return None


async def read_destination_id(asked: Asked, state_table: str, life: Incarnation) -> str | None:
    """TableId of the destination that the task began with; None: it is not remembered, or not to be seen."""
    state = StateTable(asked.endpoint, state_table, life)
    try:
        return await asked.patient(f"GetItem of {state_table}", state.destination_id)
    except (Stop, Retry):
        return None


async def find_mappings(asked: Asked, mappings: Mappings | None, stream_arn: str) -> tuple[str, ...] | None:
    """The Lambda functions that read the stream; None: not known."""
    if mappings is None:
        return None
    look = mappings

    async def once() -> tuple[str, ...]:
        return tuple(await look(stream_arn))

    try:
        # Once: it is no more than good to know.
        return await answered(Question(asked.side, "Lambda", f"who reads {stream_arn}"), once())
    except (Stop, Retry):
        return None


async def found(control: Control, name: str) -> TableFacts | DynamirrorError | None:
    """A table of ours: there, not there (None), or not to be seen."""
    try:
        return await control.describe_table(name)
    except NotFound:
        return None
    except (Stop, Retry) as error:
        return error
