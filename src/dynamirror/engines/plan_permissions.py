"""Which rights the credentials have, found out by calls that cannot write.

A right to read is used: one page, one key. A right to write is asked for in a way that changes nothing whatever is in
the table: on a condition that no item meets, or with a key that no item has. It is put on items only after a delete of
an item that is not there has shown that the service heeds conditions.

BatchWriteItem has no conditions. It is sent a key of another schema, which the service refuses; AWS does not say
whether it looks at the rights first. So a denial is certain, and any other refusal proves nothing: not checked.
A refused condition costs a write unit, a call here at most that. Policies by item (leading keys) are not seen.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from dynamirror.aws.wire import encode
from dynamirror.engines.reach import Endpoint
from dynamirror.errors import (
    AccessDenied,
    ConditionFailed,
    DynamirrorError,
    ItemRefused,
    NotFound,
    Retry,
    Side,
    Stop,
    Trimmed,
)
from dynamirror.model.key import KeySchema
from dynamirror.model.shard_graph import Listing

# Of each key type a value that nobody uses; what is asked for would change nothing even if somebody did.
_NOBODYS = {
    "S": "dynamirror plan: no such item",
    "N": "-98765432109876543210987654321098765432",
    "B": "ZHluYW1pcnJvciBwbGFuOiBubyBzdWNoIGl0ZW0=",
}
_NO_ATTRIBUTE = "dynamirror plan: no such attribute"


class Answer(Enum):
    """The value is the word that is shown."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Right:
    """One action on one table or stream."""

    side: Side
    on: str
    action: str
    answer: Answer
    # The refusal, or why nothing could be proved.
    why: str = ""
    # What does not happen without it, where replication goes on; "": it stops.
    else_not: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A table whose rights are asked for."""

    endpoint: Endpoint
    side: Side
    table: str
    schema: KeySchema

    @property
    def key(self) -> dict[str, dict[str, str]]:
        """The key of no item."""
        parts = (self.schema.hash, self.schema.range)
        return {part.name: {part.type: _NOBODYS[part.type]} for part in parts if part is not None}

    def right(self, action: str, answer: Answer, why: str = "") -> Right:
        """An answer about this table."""
        return Right(self.side, self.table, action, answer, why)


async def reading_rights(place: Place, *actions: str) -> tuple[Right, ...]:
    """The rights to read items; Scan, Query, GetItem, BatchGetItem."""
    hash_key = place.schema.hash
    requests: dict[str, dict[str, Any]] = {
        "Scan": {"TableName": place.table, "Limit": 1},
        "Query": {
            "TableName": place.table,
            "KeyConditionExpression": "#key = :key",
            "ExpressionAttributeNames": {"#key": hash_key.name},
            "ExpressionAttributeValues": {":key": place.key[hash_key.name]},
        },
        "GetItem": {"TableName": place.table, "Key": place.key},
        "BatchGetItem": {"RequestItems": {place.table: {"Keys": [place.key]}}},
    }
    return tuple([await _read(place, action, requests[action]) for action in actions])


async def deleting_right(place: Place) -> Right:
    """The right to delete items. Allowed: it has also shown that the service heeds conditions."""
    return await _conditional(place, "DeleteItem", {"Key": place.key, **_impossible(place)})


async def writing_rights(place: Place, shown: Right, *actions: str) -> tuple[Right, ...]:
    """The rights to write items, PutItem or UpdateItem; `shown` is a deleting_right of the same service."""
    if shown.answer is not Answer.ALLOWED:
        why = f"only asked for where DeleteItem on {shown.on} is allowed"
        return tuple(place.right(action, Answer.NOT_CHECKED, why) for action in actions)
    requests: dict[str, dict[str, Any]] = {"PutItem": {"Item": place.key}, "UpdateItem": {"Key": place.key}}
    impossible = _impossible(place)
    return tuple([await _conditional(place, action, {**requests[action], **impossible}) for action in actions])


async def batch_right(place: Place) -> Right:
    """BatchWriteItem: denied, or not checked."""
    assert _NO_ATTRIBUTE not in place.key, "a key that the table has could name an item"
    foreign = {"DeleteRequest": {"Key": {_NO_ATTRIBUTE: {"S": _NOBODYS["S"]}}}}
    body = encode({"RequestItems": {place.table: [foreign]}})
    unproved = "refused for its form; whether rights were looked at first is not known"
    try:
        await place.endpoint.call("BatchWriteItem", body)
    except (ItemRefused, ConditionFailed):
        return place.right("BatchWriteItem", Answer.NOT_CHECKED, unproved)
    except (Stop, Retry) as error:
        return _refused(place, "BatchWriteItem", error)
    return place.right("BatchWriteItem", Answer.NOT_CHECKED, "the service took a key that the table cannot have")


async def stream_rights(streams: Endpoint, stream_arn: str, listing: Listing) -> tuple[Right, ...]:
    """What reading a stream needs; reads one record of one shard, if there is any."""
    rights = [Right(Side.SOURCE, "its stream", "DescribeStream", Answer.ALLOWED)]
    shard = next((shard for shard in listing.shards if shard.open), None)
    if shard is None:
        why = "the stream has no open shard now"
        unchecked = [Right(Side.SOURCE, "its stream", one, Answer.NOT_CHECKED, why) for one in _SHARD_ACTIONS]
        return (*rights, *unchecked)
    iterator = ""

    async def place_to_read() -> None:
        nonlocal iterator
        request = {"StreamArn": stream_arn, "ShardId": shard.id, "ShardIteratorType": "TRIM_HORIZON"}
        answer = await streams.call("GetShardIterator", encode(request))
        iterator = str(msgspec.json.decode(answer, type=dict[str, Any]).get("ShardIterator", ""))

    async def one_record() -> None:
        await streams.call("GetRecords", encode({"ShardIterator": iterator, "Limit": 1}))

    rights.append(await _stream_right("GetShardIterator", place_to_read))
    if rights[-1].answer is Answer.ALLOWED:
        rights.append(await _stream_right("GetRecords", one_record))
    else:
        rights.append(Right(Side.SOURCE, "its stream", "GetRecords", Answer.NOT_CHECKED, "no place to read from"))
    return tuple(rights)


_SHARD_ACTIONS = ("GetShardIterator", "GetRecords")


async def _stream_right(action: str, call: Callable[[], Awaitable[None]]) -> Right:
    on = "its stream"
    try:
        await call()
    except AccessDenied as error:
        return Right(Side.SOURCE, on, action, Answer.DENIED, str(error))
    except Trimmed:
        # An answer about the shard's records: the rights were there.
        return Right(Side.SOURCE, on, action, Answer.ALLOWED)
    except (DynamirrorError, msgspec.MsgspecError) as error:
        return Right(Side.SOURCE, on, action, Answer.NOT_CHECKED, str(error))
    return Right(Side.SOURCE, on, action, Answer.ALLOWED)


def _impossible(place: Place) -> dict[str, Any]:
    """A condition that no item meets, and no absent one: that its key is there, and is not."""
    return {
        "TableName": place.table,
        "ConditionExpression": "attribute_exists(#key) AND attribute_not_exists(#key)",
        "ExpressionAttributeNames": {"#key": place.schema.hash.name},
    }


async def _read(place: Place, action: str, request: dict[str, Any]) -> Right:
    try:
        await place.endpoint.call(action, encode(request))
    except (Stop, Retry) as error:
        return _refused(place, action, error)
    return place.right(action, Answer.ALLOWED)


async def _conditional(place: Place, action: str, request: dict[str, Any]) -> Right:
    assert "attribute_exists(#key) AND attribute_not_exists(#key)" in request["ConditionExpression"], "it could write"
    try:
        await place.endpoint.call(action, encode(request))
    except ConditionFailed:
        return place.right(action, Answer.ALLOWED)
    except (Stop, Retry, ItemRefused) as error:
        return _refused(place, action, error)
    return place.right(action, Answer.NOT_CHECKED, "the service does not heed conditions")


def _refused(place: Place, action: str, error: DynamirrorError) -> Right:
    if isinstance(error, AccessDenied):
        return place.right(action, Answer.DENIED, str(error))
    why = "the table is not there" if isinstance(error, NotFound) else str(error)
    return place.right(action, Answer.NOT_CHECKED, why)
