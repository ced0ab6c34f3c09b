"""A stream in memory: shards with parents, records, iterators that expire, data that is trimmed.

Semantics and limits are those of the DynamoDB Streams API reference and Developer Guide.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any
from zlib import crc32

import msgspec

from dynamirror.errors import IteratorExpired, NotFound, ShardGone, Side, Trimmed
from dynamirror.model.change import Page, decode_page
from dynamirror.model.key import Key
from dynamirror.model.lease import LATEST, TRIM_HORIZON
from dynamirror.model.shard_graph import RETENTION_MS, Listing, Shard
from dynamirror.ports import Clock
from dynamirror.testing.faults import Fault, Line

ITERATOR_LIFE_S = 15 * 60
PAGE_BYTES_MAX = 1024 * 1024
RECORDS_MAX = 1000
LISTING_PAGE = 100

# Sequence numbers have 21 digits at least and grow over all shards.
_SEQUENCE_FIRST = 10**20
# Items fall into shards by a hash of their key.
_HASHES = 1 << 32


@dataclass(slots=True)
class _Shard:
    """One shard. Positions count its records from its beginning, trimmed ones included."""

    id: str
    parent_id: str | None
    # Hashes of the keys that it takes: from, and up to but not including.
    hashes: tuple[int, int]
    first_sequence: int
    created_s: float
    closed_s: float | None = None
    last_sequence: int | None = None
    records: list[bytes] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    trimmed: int = 0
    empty_pages: int = 0

    def listed(self) -> Shard:
        last = None if self.last_sequence is None else str(self.last_sequence)
        return Shard(self.id, self.parent_id, str(self.first_sequence), last)


class MemoryStream:
    """`ports.ChangeStream`, and the other side of it: the table that writes, the service that rolls and trims."""

    def __init__(self, clock: Clock, line: Line | None = None, shards: int = 1, arn: str = "arn:memory:stream") -> None:
        """`clock` is the service's. `shards`: how many partitions the table has at first."""
        self.arn = arn
        # Shards that listings leave out, as a listing that is taken while the set changes may.
        self.hidden: set[str] = set()
        # The stream was deleted with its table.
        self.gone = False
        self.enabled = True
        # How long a record is kept, and to how many seconds its time stamp is rounded down.
        self.retention_ms = RETENTION_MS
        self.rounding_s = 1
        self._clock = clock
        self._line = line or Line()
        self._sequence = _SEQUENCE_FIRST
        self._made = 0
        self._shards: dict[str, _Shard] = {}
        edges = [index * _HASHES // shards for index in range(shards + 1)]
        for low, high in pairwise(edges):
            self._open(None, (low, high))

    async def list_shards(self) -> Listing:
        """See ports.ChangeStream. Page by page: what changes in between shows in part."""
        shards: list[Shard] = []
        last_id = ""
        while True:
            page, more = await self._line.call("DescribeStream", partial(self._listing_page, last_id))
            shards += page
            if not more:
                return Listing(tuple(shards), self.enabled)
            last_id = page[-1].id

    async def list_children(self, parent_id: str) -> list[Shard]:
        """See ports.ChangeStream."""
        return await self._line.call("DescribeStream", lambda _: self._children(parent_id))

    async def iterator_at(self, shard_id: str, checkpoint: str) -> str:
        """See ports.ChangeStream."""
        return await self._line.call("GetShardIterator", lambda _: self._iterator(shard_id, checkpoint))

    async def read(self, iterator: str, records_max: int) -> Page:
        """See ports.ChangeStream."""
        assert 0 < records_max <= RECORDS_MAX, f"a page of {records_max} records"
        return await self._line.call("GetRecords", lambda _: self._page(iterator, records_max))

    def append(self, key: Key, event_name: str, change: Mapping[str, Any]) -> str:
        """Add a record to the open shard of its key; `change` holds Keys and images. Returns its sequence number."""
        shard = self._shard_of(key)
        now_s = self._clock.wall_s()
        sequence = self._next_sequence()
        record = {
            "eventID": f"{sequence:x}",
            "eventName": event_name,
            "dynamodb": {
                "ApproximateCreationDateTime": int(now_s // self.rounding_s) * self.rounding_s,
                **change,
                "SequenceNumber": str(sequence),
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        }
        shard.records.append(msgspec.json.encode(record))
        shard.sequences.append(sequence)
        shard.times_s.append(now_s)
        return str(sequence)

    def open_shards(self) -> list[str]:
        """Ids of the shards that are being written, by the hashes they take."""
        shards = sorted(self._shards.values(), key=lambda shard: shard.hashes)
        return [shard.id for shard in shards if shard.closed_s is None]

    def lists(self, shard_id: str) -> bool:
        """Whether the shard is still there."""
        return shard_id in self._shards

    def shard_of_key(self, key: Key) -> str:
        """The open shard that takes the key's changes."""
        return self._shard_of(key).id

    def roll(self, shard_id: str) -> list[str]:
        """Close a shard and open its successor, as the service does about every four hours."""
        shard = self._close(shard_id)
        return [self._open(shard_id, shard.hashes)]

    def split(self, shard_id: str) -> list[str]:
        """Close a shard and open two, each with half of its keys."""
        low, high = self._close(shard_id).hashes
        middle = (low + high) // 2
        return [self._open(shard_id, (low, middle)), self._open(shard_id, (middle, high))]

    def disable(self) -> None:
        """The stream is switched off: every shard is closed, and can still be read for a day."""
        self.enabled = False
        for shard_id in self.open_shards():
            self._close(shard_id)

    def trim(self, keep_s: float | None = None) -> None:
        """Drop records older than `keep_s` (None: the retention) by the service's clock, and shards that were closed
        before."""
        edge_s = self._clock.wall_s() - (self.retention_ms / 1000 if keep_s is None else keep_s)
        for shard in list(self._shards.values()):
            shard.trimmed = max(shard.trimmed, bisect_right(shard.times_s, edge_s))
            if shard.closed_s is not None and shard.closed_s <= edge_s:
                del self._shards[shard.id]

    def send_empty_pages(self, shard_id: str, count: int) -> None:
        """The next `count` reads of the shard give no records, though there may be some."""
        self._shards[shard_id].empty_pages = count

    def _listing_page(self, after: str, _: Fault) -> tuple[list[Shard], bool]:
        self._check_there()
        ids = sorted(shard_id for shard_id in self._shards if shard_id > after and shard_id not in self.hidden)
        return [self._shards[shard_id].listed() for shard_id in ids[:LISTING_PAGE]], len(ids) > LISTING_PAGE

    def _children(self, parent_id: str) -> list[Shard]:
        self._check_there()
        visible = [shard for shard_id, shard in sorted(self._shards.items()) if shard_id not in self.hidden]
        return [shard.listed() for shard in visible if shard.parent_id == parent_id]

    def _iterator(self, shard_id: str, checkpoint: str) -> str:
        shard = self._known(shard_id)
        if checkpoint == TRIM_HORIZON:
            position = shard.trimmed
        elif checkpoint == LATEST:
            position = len(shard.records)
        else:
            position = bisect_right(shard.sequences, int(checkpoint))
            if shard.trimmed and int(checkpoint) <= shard.sequences[shard.trimmed - 1]:
                raise Trimmed(f"GetShardIterator of {shard_id}: {checkpoint} is older than the oldest record")
        return self._token(shard_id, position)

    def _page(self, iterator: str, records_max: int) -> Page:
        shard_id, position_text, made_text = iterator.split("|")
        position = int(position_text)
        if self._clock.boottime_s() - float(made_text) > ITERATOR_LIFE_S:
            raise IteratorExpired(f"GetRecords of {shard_id}: the iterator is older than 15 minutes")
        shard = self._known(shard_id)
        if position < shard.trimmed:
            raise Trimmed(f"GetRecords of {shard_id}: the iterator's place is older than the oldest record")
        records: list[bytes] = []
        if shard.empty_pages:
            shard.empty_pages -= 1
        else:
            records = _fitting(shard.records, position, records_max)
        position += len(records)
        ended = shard.closed_s is not None and position == len(shard.records)
        following = b"" if ended else b',"NextShardIterator":"' + self._token(shard_id, position).encode() + b'"'
        answer = b'{"Records":[' + b",".join(records) + b"]" + following + b"}"
        page = decode_page(answer)
        page.size_bytes = len(answer)
        page.served_s = self._clock.wall_s()
        return page

    def _token(self, shard_id: str, position: int) -> str:
        return f"{shard_id}|{position}|{self._clock.boottime_s()!r}"

    def _known(self, shard_id: str) -> _Shard:
        shard = self._shards.get(shard_id)
        if shard is None or self.gone:
            raise ShardGone(f"the stream does not know the shard {shard_id}")
        return shard

    def _check_there(self) -> None:
        if self.gone:
            raise NotFound(Side.SOURCE, f"DescribeStream: there is no stream {self.arn}")

    def _shard_of(self, key: Key) -> _Shard:
        place = crc32(repr(key).encode())
        for shard in self._shards.values():
            if shard.closed_s is None and shard.hashes[0] <= place < shard.hashes[1]:
                return shard
        raise AssertionError("the stream is off: its table writes no records")

    def _open(self, parent_id: str | None, hashes: tuple[int, int]) -> str:
        now_s = self._clock.wall_s()
        self._made += 1
        shard_id = f"shardId-{int(now_s * 1000):020d}-{self._made:08x}"
        self._shards[shard_id] = _Shard(shard_id, parent_id, hashes, self._next_sequence(), now_s)
        return shard_id

    def _close(self, shard_id: str) -> _Shard:
        shard = self._shards[shard_id]
        assert shard.closed_s is None, f"{shard_id} is closed already"
        shard.closed_s = self._clock.wall_s()
        shard.last_sequence = self._next_sequence()
        return shard

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence


def _fitting(records: list[bytes], position: int, records_max: int) -> list[bytes]:
    """The records of one page: up to `records_max`, and about 1 MB, but at least one."""
    page: list[bytes] = []
    size = 0
    for record in records[position : position + records_max]:
        size += len(record)
        if page and size > PAGE_BYTES_MAX:
            break
        page.append(record)
    return page
