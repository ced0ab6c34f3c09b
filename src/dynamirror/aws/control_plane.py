"""The rare calls: what a table is, switching its stream on, creating a table.

They go through the same Service as the data, so that credentials, clock, proxies and errors are handled
once. Every call here may be repeated safely, so passing failures are retried a few times.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from dynamirror.aws.faults import InUse, not_dynamodb
from dynamirror.aws.service import Service
from dynamirror.aws.throughput import Billing, Capacity, Maxima, Warm, at_once
from dynamirror.aws.wire import UNREADABLE
from dynamirror.errors import NotFound, Refused, Retry, Stop
from dynamirror.model.backoff import Backoff
from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.ports import Clock, TableFacts

VIEW_TYPE = "NEW_AND_OLD_IMAGES"

_ATTEMPTS_MAX = 5
_BACKOFF = Backoff(first_s=0.5, most_s=5.0)
# A table or stream of this account takes seconds; the service states no bound.
_WAIT_MAX_S = 300.0
_POLL_S = 0.5

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Encryption:
    """Encryption with a KMS key; a table without one is encrypted with a key that DynamoDB owns."""

    # None: the account's AWS managed key for DynamoDB.
    key_arn: str | None

    def in_region(self, region: str) -> "Encryption":
        """The same for a table of `region`: a key is of no use outside its own Region."""
        if self.key_arn is None or self.key_arn.split(":")[3:4] == [region]:
            return self
        return Encryption(None)


class AttributeDefinition(msgspec.Struct, rename="pascal"):
    """As the service writes it."""

    attribute_name: str
    attribute_type: str


class KeyElement(msgspec.Struct, rename="pascal"):
    """One of a KeySchema, as the service writes it."""

    attribute_name: str
    key_type: str


class _StreamSpecification(msgspec.Struct, rename="pascal"):
    stream_enabled: bool = False
    stream_view_type: str | None = None


class _SseDescription(msgspec.Struct):
    status: str = msgspec.field(name="Status", default="")
    type: str = msgspec.field(name="SSEType", default="")
    key_arn: str | None = msgspec.field(name="KMSMasterKeyArn", default=None)


class _Table(msgspec.Struct, rename="pascal"):
    table_arn: str
    table_status: str
    key_schema: list[KeyElement]
    attribute_definitions: list[AttributeDefinition]
    table_id: str = ""
    creation_date_time: float = 0.0
    item_count: int = 0
    latest_stream_arn: str | None = None
    stream_specification: _StreamSpecification = msgspec.field(default_factory=_StreamSpecification)
    table_size_bytes: int = 0
    billing_mode_summary: Billing = msgspec.field(default_factory=Billing)
    provisioned_throughput: Capacity = msgspec.field(default_factory=Capacity)
    on_demand_throughput: Maxima = msgspec.field(default_factory=Maxima)
    warm_throughput: Warm = msgspec.field(default_factory=Warm)
    encryption: _SseDescription | None = msgspec.field(name="SSEDescription", default=None)

    def facts(self) -> TableFacts:
        stream = self.stream_specification
        return TableFacts(
            arn=self.table_arn,
            # DynamoDB Local gives no TableId; there the time of creation tells a re-created table apart.
            table_id=self.table_id or f"{self.table_arn}@{self.creation_date_time}",
            schema=self.schema(),
            status=self.table_status,
            stream_arn=self.latest_stream_arn if stream.stream_enabled else None,
            stream_view_type=stream.stream_view_type if stream.stream_enabled else None,
            items=self.item_count,
            size_bytes=self.table_size_bytes,
            capacity=at_once(
                self.billing_mode_summary,
                self.provisioned_throughput,
                self.on_demand_throughput,
                self.warm_throughput,
            ),
            last_stream_arn=self.latest_stream_arn,
        )

    def schema(self) -> KeySchema:
        types = {attribute.attribute_name: attribute.attribute_type for attribute in self.attribute_definitions}
        by_role = {
            element.key_type: KeyAttribute(element.attribute_name, types[element.attribute_name])
            for element in self.key_schema
        }
        return KeySchema(by_role["HASH"], by_role.get("RANGE"))


class _DescribeTable(msgspec.Struct):
    table: _Table = msgspec.field(name="Table")


class _StreamDescription(msgspec.Struct, rename="pascal"):
    stream_status: str


class _DescribeStream(msgspec.Struct):
    stream: _StreamDescription = msgspec.field(name="StreamDescription")


class ControlPlane:
    """The tables of one side. `streams` is needed only where a stream is switched on."""

    def __init__(
        self, tables: Service, clock: Clock, random: Callable[[], float], streams: Service | None = None
    ) -> None:
        self.side = tables.side
        self.url = tables.url
        self._tables = tables
        self._streams = streams
        self._clock = clock
        self._random = random

    async def describe_table(self, name: str) -> TableFacts:
        """What the table is now. Raises NotFound, AccessDenied, other Stop, or a Retry that did not pass."""
        return (await self._describe(name)).facts()

    async def encryption(self, name: str) -> Encryption | None:
        """How the table is encrypted; None: with the key that DynamoDB owns. Raises as describe_table."""
        sse = (await self._describe(name)).encryption
        if sse is None or sse.type != "KMS" or sse.status in ("DISABLED", "DISABLING"):
            return None
        return Encryption(sse.key_arn)

    async def enable_stream(self, name: str) -> TableFacts:
        """Switch the stream on with both images and wait until it can be read; nothing is done when it is on.

        Raises Refused when it is on with another view type, which could only be changed by ending that stream.
        """
        facts = await self.describe_table(name)
        if facts.stream_arn is None:
            await self._until_active(name)
            specification = {"StreamEnabled": True, "StreamViewType": VIEW_TYPE}
            request = {"TableName": name, "StreamSpecification": specification}
            await self._change("UpdateTable", request)
            facts = await self._until_active(name, streaming=True)
        if facts.stream_view_type != VIEW_TYPE:
            raise Refused(
                f"the stream of table {name} is on with {facts.stream_view_type}, not {VIEW_TYPE}; "
                "a view type cannot be changed: disable the stream first, then enable it again"
            )
        await self._until_readable(name, facts.stream_arn or "")
        return facts

    async def disable_stream(self, name: str) -> None:
        """Switch the stream off and wait until the table says so; nothing is done when it is off."""
        if (await self._until_active(name)).stream_arn is None:
            return
        try:
            await self._change("UpdateTable", {"TableName": name, "StreamSpecification": {"StreamEnabled": False}})
        except Stop:
            # A first attempt whose answer was lost has done it: there is no stream to be switched off any more.
            if (await self.describe_table(name)).stream_arn is not None:
                raise
        deadline_s = self._clock.boottime_s() + _WAIT_MAX_S
        while (await self._until_active(name)).stream_arn is not None:
            await self._pause(deadline_s, f"the stream of table {name} is still on")

    async def create_table(self, name: str, schema: KeySchema, encryption: Encryption | None = None) -> TableFacts:
        """Create a table on demand billing and wait until it is active; one that exists already is left as it is."""
        await self._change("CreateTable", _create_request(name, schema, encryption))
        return await self._until_active(name)

    async def delete_table(self, name: str) -> None:
        """Delete a table and wait until it is gone; no error when it is already. Raises Stop, Retry."""
        with suppress(NotFound):
            # In use: it is being deleted by somebody else, or still being made, which the wait tells.
            await self._change("DeleteTable", {"TableName": name})
        deadline_s = self._clock.boottime_s() + _WAIT_MAX_S
        while True:
            try:
                facts = await self.describe_table(name)
            except NotFound:
                return
            await self._pause(deadline_s, f"table {name} is still {facts.status}")

    async def until_active(self, name: str) -> TableFacts:
        """Wait until a table that was created, or is being changed, is active. Raises Stop when that takes too long."""
        return await self._until_active(name)

    async def ask(self, operation: str, request: Mapping[str, object], shape: type[_Answer]) -> _Answer:
        """Any other rare call for tables, the same way; it must be one that may be repeated."""
        return await self._call(self._tables, operation, request, shape)

    async def _describe(self, name: str) -> _Table:
        answer = await self._call(self._tables, "DescribeTable", {"TableName": name}, _DescribeTable)
        try:
            answer.table.schema()
        except KeyError as failure:
            raise not_dynamodb(self.side, self._tables.url, 200) from failure
        return answer.table

    async def _change(self, operation: str, request: Mapping[str, object]) -> None:
        """Ask for a change; that it is under way already, or was made by a lost first attempt, is fine."""
        with suppress(InUse):
            await self._call(self._tables, operation, request, dict)

    async def _until_active(self, name: str, *, streaming: bool = False) -> TableFacts:
        deadline_s = self._clock.boottime_s() + _WAIT_MAX_S
        while True:
            try:
                facts = await self.describe_table(name)
            except NotFound:
                # DescribeTable is eventually consistent: right after CreateTable it may know nothing yet.
                await self._pause(deadline_s, f"table {name} is still missing")
                continue
            if facts.status == "ACTIVE" and (facts.stream_arn is not None or not streaming):
                return facts
            if facts.status == "DELETING":
                # It was there when it should have been created, and will not come back.
                raise Stop(self.side, f"table {name} is DELETING; start again when it is gone")
            await self._pause(deadline_s, f"table {name} is still {facts.status}")

    async def _until_readable(self, name: str, stream_arn: str) -> None:
        assert self._streams is not None, "a stream is switched on where streams are read"
        deadline_s = self._clock.boottime_s() + _WAIT_MAX_S
        request = {"StreamArn": stream_arn, "Limit": 1}
        while True:
            answer = await self._call(self._streams, "DescribeStream", request, _DescribeStream)
            if answer.stream.stream_status == "ENABLED":
                return
            await self._pause(deadline_s, f"the stream of table {name} is still {answer.stream.stream_status}")

    async def _pause(self, deadline_s: float, what: str) -> None:
        if self._clock.boottime_s() >= deadline_s:
            raise Stop(self.side, f"{what} after {_WAIT_MAX_S:g} s; look at it in the console, then start again")
        await self._clock.sleep(_POLL_S)

    async def _call(
        self, service: Service, operation: str, request: Mapping[str, object], shape: type[_Answer]
    ) -> _Answer:
        body = msgspec.json.encode(request)
        for attempt in range(_ATTEMPTS_MAX - 1):
            try:
                return await self._once(service, operation, body, shape)
            except Retry:
                await self._clock.sleep(_BACKOFF.delay_s(attempt, self._random))
        return await self._once(service, operation, body, shape)

    async def _once(self, service: Service, operation: str, body: bytes, shape: type[_Answer]) -> _Answer:
        answer = await service.call(operation, body)
        try:
            return msgspec.json.decode(answer, type=shape)
        except UNREADABLE as failure:
            raise not_dynamodb(self.side, service.url, 200) from failure


def _create_request(name: str, schema: KeySchema, encryption: Encryption | None) -> dict[str, object]:
    keys = [(schema.hash, "HASH")] if schema.range is None else [(schema.hash, "HASH"), (schema.range, "RANGE")]
    request: dict[str, object] = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": key.name, "AttributeType": key.type} for key, _ in keys],
        "KeySchema": [{"AttributeName": key.name, "KeyType": role} for key, role in keys],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if encryption is not None:
        key_id = {} if encryption.key_arn is None else {"KMSMasterKeyId": encryption.key_arn}
        request["SSESpecification"] = {"Enabled": True, "SSEType": "KMS", **key_id}
    return request
