"""A stream of many shards for the fleet stand-in: idle, or with changes that come by the clock; shards roll when told.

A lane is a range of keys: it has one open shard at a time, and change n of every lane is made n * `every_s` after the
beginning.
"""

import json
import time
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from bench import pages
from bench.pages import Served

FIRST_SEQUENCE = 10**20
LISTED_MAX = 100
RECORDS_MAX = 400
# Of a key's number: the lane, and the change of the lane.
CHANGES_MAX = 100_000
_LANES_MAX = 10_000


@dataclass(slots=True)
class Shard:
    """One shard. Times are of time.monotonic."""

    number: int
    lane: int
    parent: int | None
    # The lane's changes that it has: from, and up to but not including; None: it is open.
    first: int
    end: int | None = None
    closed_at_s: float | None = None
    # The first of its changes that arrived at the destination.
    applied_at_s: float | None = None
    # Who read it last, and whose changes of it arrived last.
    reader: str = ""
    writer: str = ""

    def facts(self) -> dict[str, Any]:
        """For the runner."""
        return {
            "number": self.number,
            "parent": self.parent,
            "open": self.end is None,
            "closed_at_s": self.closed_at_s,
            "applied_at_s": self.applied_at_s,
            "reader": self.reader,
            "writer": self.writer,
        }


class FleetStream:
    """`every_s` 0: there are no changes."""

    def __init__(self, lanes: int, every_s: float) -> None:
        assert lanes <= _LANES_MAX
        self._every_s = every_s
        self._begun_s = time.monotonic()
        self.shards: list[Shard] = []
        self._lanes: list[list[Shard]] = [[] for _ in range(lanes)]
        for lane in range(lanes):
            self._open(lane, None, 0)
        new, old = (pages.attributes(pages.ITEM_BYTES, fill) for fill in "no")
        key = f'"pk":{{"S":"{pages.KEY_MARK.decode()}%(key)0{pages.KEY_DIGITS}d"}}'
        self._record = pages.record(key, (new, old), ("%(created)d", "%(sequence)d", "%(key)032x")).encode()

    def roll(self, lane: int) -> None:
        """Close the lane's shard and open its child."""
        shard = self._lanes[lane][-1]
        shard.end, shard.closed_at_s = self._made(), time.monotonic()
        self._open(lane, shard.number, shard.end)

    def shard_of_key(self, key: int) -> Shard:
        """The shard that has the change of a key."""
        lane, change = divmod(key, CHANGES_MAX)
        shards = self._lanes[lane]
        return shards[bisect_right(shards, change, key=lambda shard: shard.first) - 1]

    def shard_named(self, shard_id: str) -> Shard:
        """By its id."""
        return self.shards[int(shard_id.rpartition("-")[2], 16)]

    def iterator(self, request: dict[str, Any]) -> str:
        """The answer to GetShardIterator."""
        shard = self.shard_named(request["ShardId"])
        match request["ShardIteratorType"]:
            case "TRIM_HORIZON":
                place = shard.first
            case "AFTER_SEQUENCE_NUMBER":
                place = (int(request["SequenceNumber"]) - FIRST_SEQUENCE) // _LANES_MAX + 1
            case _:
                place = self._made() if shard.end is None else shard.end
        return f"{shard.number}-{place}"

    def page(self, iterator: str, reader: str) -> Served:
        """The answer to GetRecords."""
        number, place = map(int, iterator.split("-"))
        shard = self.shards[number]
        shard.reader = reader
        stop = min(place + RECORDS_MAX, max(place, self._made() if shard.end is None else shard.end))
        records = b",".join([self._one(shard.lane, n) for n in range(place, stop)])
        following = b"" if stop == shard.end else b',"NextShardIterator":"%d-%d"' % (number, stop)
        body = b'{"Records":[%s]%s}' % (records, following)
        return Served(body, crc32(body))

    def listing(self, request: dict[str, Any]) -> bytes:
        """The answer to DescribeStream: a page of the shards, or of the children of one."""
        after, wanted = request.get("ExclusiveStartShardId"), request.get("ShardFilter", {}).get("ShardId")
        first = self.shard_named(after).number + 1 if after else 0
        parent = self.shard_named(wanted).number if wanted else None
        found = [one for one in self.shards[first:] if wanted is None or one.parent == parent]
        most = request.get("Limit", LISTED_MAX)
        facts: dict[str, Any] = {
            "StreamArn": pages.STREAM_ARN,
            "StreamStatus": "ENABLED",
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            "TableName": pages.SOURCE,
            "Shards": [_described(one) for one in found[:most]],
        }
        if len(found) > most:
            facts["LastEvaluatedShardId"] = pages.shard_id(found[most - 1].number)
        return json.dumps({"StreamDescription": facts}).encode()

    def _open(self, lane: int, parent: int | None, first: int) -> None:
        shard = Shard(len(self.shards), lane, parent, first)
        self.shards.append(shard)
        self._lanes[lane].append(shard)

    def _made(self) -> int:
        """How many changes every lane has by now."""
        return int((time.monotonic() - self._begun_s) / self._every_s) if self._every_s else 0

    def _one(self, lane: int, number: int) -> bytes:
        key = lane * CHANGES_MAX + number
        return self._record % {b"key": key, b"created": time.time(), b"sequence": _sequence(lane, number)}


def _sequence(lane: int, number: int) -> int:
    return FIRST_SEQUENCE + number * _LANES_MAX + lane


def _described(shard: Shard) -> dict[str, Any]:
    ends = {"StartingSequenceNumber": str(_sequence(shard.lane, shard.first))}
    if shard.end is not None:
        ends["EndingSequenceNumber"] = str(_sequence(shard.lane, shard.end))
    parent = {} if shard.parent is None else {"ParentShardId": pages.shard_id(shard.parent)}
    return {"ShardId": pages.shard_id(shard.number), "SequenceNumberRange": ends, **parent}
