"""A request as the bench sees it: who asks for what, how many keys it has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

TABLES_API = "DynamoDB_20120810"
STREAMS_API = "DynamoDBStreams_20120810"
WRITES = frozenset({"BatchWriteItem", "PutItem", "DeleteItem", "UpdateItem", "TransactWriteItems"})
BATCHES = frozenset({"BatchWriteItem", "BatchGetItem"})

# Iterators that the bench has made begin so; DynamoDB Local's own begin with an ARN.
OUR_ITERATOR = "bench|"

_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


class _Body(msgspec.Struct):
    table: str = msgspec.field(name="TableName", default="")
    stream: str = msgspec.field(name="StreamArn", default="")
    shard: str = msgspec.field(name="ShardId", default="")
    iterator: str = msgspec.field(name="ShardIterator", default="")
    items: dict[str, msgspec.Raw] = msgspec.field(name="RequestItems", default_factory=dict)


class _KeysWanted(msgspec.Struct):
    keys: list[msgspec.Raw] = msgspec.field(name="Keys", default_factory=list)


_sorted = msgspec.json.Encoder(order="sorted").encode
_body = msgspec.json.Decoder(_Body).decode
_requests = msgspec.json.Decoder(list[msgspec.Raw]).decode
_keys_wanted = msgspec.json.Decoder(_KeysWanted).decode


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `table` is the first one it names, a stream's table included; `keys` counts items of a batch."""

    api: str
    operation: str
    access_key: str
    region: str
    table: str
    stream: str
    shard: str
    keys: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def writes(self) -> bool:
        """Whether it changes items."""
        return self.operation in WRITES


def call_of(headers: Mapping[str, str], body: bytes) -> Call:
    """`headers` by lower-case name. What cannot be read stays empty: refusing it is the service's business."""
    api, _, operation = headers.get("x-amz-target", "").partition(".")
    scope = _SCOPE.search(headers.get("authorization", ""))
    try:
        named = _body(body)
        keys = _count(operation, named)
    except msgspec.MsgspecError:
        named, keys = _Body(), 0
    stream, shard = named.stream, named.shard
    if named.iterator.startswith(OUR_ITERATOR):
        stream, shard = [*named.iterator.split("|"), "", ""][1:3]
    return Call(
        api=api,
        operation=operation,
        access_key=scope["key"] if scope else "",
        region=scope["region"] if scope else "",
        table=named.table or next(iter(named.items), "") or table_of(stream),
        stream=stream,
        shard=shard,
        keys=keys,
        headers=headers,
        body=body,
    )


def hash_of(key: object) -> int:
    """Where a partition key's value falls, 0 to 2**32: the same for the same value."""
    return int.from_bytes(blake2b(_sorted(key), digest_size=4).digest(), "big")


def table_of(stream_arn: str) -> str:
    """The table's name inside a stream's ARN, or ""."""
    return stream_arn.partition(":table/")[2].partition("/stream/")[0]


def _count(operation: str, named: _Body) -> int:
    if operation == "BatchWriteItem":
        return sum(len(_requests(raw)) for raw in named.items.values())
    if operation == "BatchGetItem":
        return sum(len(_keys_wanted(raw).keys) for raw in named.items.values())
    return int(operation in ("GetItem", "PutItem", "DeleteItem", "UpdateItem"))
