"""The streams that the stand-in serves: all of it there from the beginning, or coming by the clock."""

import json
import time
from typing import Any, Protocol
from zlib import crc32

from bench import pages
from bench.pages import ITEM_BYTES, RECORDS_A_PAGE, SHARDS, Served

# The first change's; each has the next.
FIRST_SEQUENCE = 10**20


class Stream(Protocol):
    """What GetShardIterator and GetRecords answer from."""

    def iterator(self, request: dict[str, Any]) -> str:
        """The answer to GetShardIterator."""

    def page(self, iterator: str) -> Served:
        """The answer to GetRecords."""

    def created_s(self, number: int) -> float | None:
        """When the change of that number was made, wall clock; None: long ago."""


class ReadyStream:
    """Of a fixed number of changes, from bytes made beforehand."""

    def __init__(self, changes: int) -> None:
        self._pages = pages.pages(changes)

    def iterator(self, request: dict[str, Any]) -> str:
        """See Stream."""
        return pages.iterator(_shard(request), 0)

    def page(self, iterator: str) -> Served:
        """See Stream."""
        return self._pages[iterator]

    def created_s(self, number: int) -> float | None:
        """See Stream."""
        return None


class PacedStream:
    """`rate` changes a second, spread over all shards, from the first reading on, until there were `changes`.

    Change number n is made n/rate seconds after the first reading; its shard is n modulo the shards.
    """

    def __init__(self, changes: int, rate: float) -> None:
        self._changes = changes
        self._rate = rate
        self._begun_s: float | None = None
        new, old = (pages.attributes(ITEM_BYTES, fill) for fill in "no")
        key = f'"pk":{{"S":"{pages.KEY_MARK.decode()}%(n)0{pages.KEY_DIGITS}d"}}'
        template = pages.record(key, (new, old), ("%(created)d", "%(sequence)d", "%(n)032x"))
        self._record = template.encode()

    def iterator(self, request: dict[str, Any]) -> str:
        """See Stream."""
        shard = _shard(request)
        match request["ShardIteratorType"]:
            case "TRIM_HORIZON":
                place = 0
            case "AFTER_SEQUENCE_NUMBER":
                place = (int(request["SequenceNumber"]) - FIRST_SEQUENCE) // SHARDS + 1
            case _:
                place = self._made(shard)
        return pages.iterator(shard, place)

    def page(self, iterator: str) -> Served:
        """See Stream."""
        if self._begun_s is None:
            self._begun_s = time.time()
        shard, first = map(int, iterator.split("-"))
        end = min(first + RECORDS_A_PAGE, max(first, self._made(shard)))
        record, begun_s = self._record, self._begun_s
        records = b",".join(
            [
                record % {b"n": n, b"created": begun_s + n / self._rate, b"sequence": FIRST_SEQUENCE + n}
                for n in range(shard + first * SHARDS, shard + end * SHARDS, SHARDS)
            ]
        )
        body = b'{"NextShardIterator":"%s","Records":[%s]}' % (pages.iterator(shard, end).encode(), records)
        return Served(body, crc32(body))

    def created_s(self, number: int) -> float | None:
        """See Stream."""
        if self._begun_s is None or number >= self._changes:
            return None
        return self._begun_s + number / self._rate

    def _made(self, shard: int) -> int:
        """How many changes the shard has by now."""
        if self._begun_s is None:
            return 0
        made = min(self._changes, int((time.time() - self._begun_s) * self._rate))
        return max(0, (made - shard + SHARDS - 1) // SHARDS)


def description() -> bytes:
    """The answer to DescribeStream."""
    shards = [
        {"ShardId": pages.shard_id(shard), "SequenceNumberRange": {"StartingSequenceNumber": str(FIRST_SEQUENCE)}}
        for shard in range(SHARDS)
    ]
    facts = {
        "StreamArn": pages.STREAM_ARN,
        "StreamStatus": "ENABLED",
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        "TableName": pages.SOURCE,
        "Shards": shards,
    }
    return json.dumps({"StreamDescription": facts}).encode()


def _shard(request: dict[str, Any]) -> int:
    return int(request["ShardId"].rpartition("-")[2], 16)
