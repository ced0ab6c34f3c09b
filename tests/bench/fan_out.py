"""Reads DynamoDB Local's one shard, once, and hands its records to the many."""

import asyncio
import json
from typing import Any, NoReturn

import msgspec

from tests.bench.answers import Answer
from tests.bench.call import STREAMS_API, hash_of
from tests.bench.shards import SPACING, ManyShards, digits
from tests.bench.upstream import Upstream

# The pause after a page without records.
IDLE_S = 0.02


class _Page(msgspec.Struct):
    records: list[msgspec.Raw] = msgspec.field(name="Records")
    following: str | None = msgspec.field(name="NextShardIterator", default=None)


class _Change(msgspec.Struct):
    keys: dict[str, dict[str, str]] = msgspec.field(name="Keys")
    sequence: str = msgspec.field(name="SequenceNumber")


class _Record(msgspec.Struct):
    change: _Change = msgspec.field(name="dynamodb")


_page = msgspec.json.Decoder(_Page).decode
_record = msgspec.json.Decoder(_Record).decode


class RealStream:
    """A stream of DynamoDB Local, in the database of an access key and Region."""

    def __init__(self, upstream: Upstream, place: tuple[str, str], arn: str) -> None:
        self._upstream = upstream
        self._place = place
        self.arn = arn

    async def describe(self) -> dict[str, Any]:
        """The stream's description; its one shard is the last of them."""
        got = await self._ask("DescribeStream", StreamArn=self.arn)
        if got.status != 200:
            raise RuntimeError(f"{self.arn}: {got.body.decode()}")
        description: dict[str, Any] = json.loads(got.body)["StreamDescription"]
        return description

    async def feed(self, stream: ManyShards, hash_key: str) -> None:
        """Hand every record to `stream`, until the real one is off and read to its end; then disable `stream`."""
        [*_, shard] = (await self.describe())["Shards"]
        place: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        iterator = await self._iterator(shard["ShardId"], place)
        while iterator is not None:
            got = await self._ask("GetRecords", ShardIterator=iterator)
            if b"TrimmedDataAccessException" in got.body and "SequenceNumber" not in place:
                # An iterator that was taken while the shard was empty; nothing was skipped.
                iterator = await self._iterator(shard["ShardId"], place)
                continue
            if got.status != 200:
                _give_up(got)
            page = _page(got.body)
            for raw in page.records:
                place = {"SequenceNumber": _hand_over(bytes(raw), stream, hash_key)}
            iterator = page.following
            if not page.records:
                await asyncio.sleep(IDLE_S)
        description = await self.describe()
        if description["StreamStatus"] != "DISABLED":
            raise RuntimeError(f"{self.arn}: its shard ended, but the stream is {description['StreamStatus']}")
        stream.disable()

    async def _iterator(self, shard_id: str, place: dict[str, str]) -> str | None:
        got = await self._ask("GetShardIterator", StreamArn=self.arn, ShardId=shard_id, **place)
        if got.status != 200:
            _give_up(got)
        iterator: str = json.loads(got.body)["ShardIterator"]
        return iterator

    async def _ask(self, operation: str, **request: str) -> Answer:
        return await self._upstream.ask(f"{STREAMS_API}.{operation}", self._place, json.dumps(request).encode())


def _give_up(got: Answer) -> NoReturn:
    raise RuntimeError(f"DynamoDB Local's stream answers {got.status}: {got.body[:300].decode()}")


def _hand_over(raw: bytes, stream: ManyShards, hash_key: str) -> str:
    """Returns the record's own sequence number."""
    change = _record(raw).change
    sequence = int(change.sequence) * SPACING
    # Attribute values are objects, so only the record's own number can look like this.
    own, spaced = (f'"SequenceNumber":"{text}"'.encode() for text in (change.sequence, digits(sequence)))
    assert own in raw
    stream.append(hash_of(change.keys[hash_key]), sequence, raw.replace(own, spaced, 1))
    return change.sequence
