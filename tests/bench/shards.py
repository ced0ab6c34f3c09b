"""One stream as many shards: records fall into them by key, shards roll, split, are trimmed; listings lag and err.

No input or output here. Semantics and limits: DynamoDB Streams API reference and Developer Guide, and what users saw
of DescribeStream (docs/LEASES.md, "Shards and their order"). Not for several threads: see `thread.ProxyThread.do`.
"""

import random
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tests.bench.answers import invalid, iterator_expired, not_found, too_many_readers, trimmed
from tests.bench.call import OUR_ITERATOR

HASHES = 1 << 32
PAGE_BYTES_MAX = 1024 * 1024
# Sequence numbers are those of DynamoDB Local with three digits behind, for shards that begin and end between records.
SPACING = 1000


@dataclass(slots=True)
class Behaviour:
    """How the stream behaves; may be changed while it runs. Rates are 0 to 1, drawn from the stream's seed."""

    iterator_life_s: float = 15 * 60
    # Readers of one shard within `reader_window_s`; a reader is whoever asked for an iterator, with what follows it.
    readers_max: int = 2
    reader_window_s: float = 1.0
    # Pages of a listing that omit a shard, or show one again that the page before had.
    omit_rate: float = 0.0
    repeat_rate: float = 0.0
    # Each page of a listing shows the stream as it was up to so long ago.
    lag_s: float = 0.0
    # Reads that give no records though there are some, and ends of shards that show one read late.
    empty_rate: float = 0.0
    late_end_rate: float = 0.0


@dataclass(slots=True)
class Shard:
    """One shard. Positions count its records from its beginning, trimmed ones included."""

    id: str
    parent_id: str | None
    # Hashes of the keys that it takes: from, and up to but not including.
    hashes: tuple[int, int]
    first: int
    # Seconds since the epoch.
    opened_s: float
    closed_s: float | None = None
    last: int | None = None
    records: list[bytes] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    trimmed: int = 0
    empty_pages: int = 0
    # When each reader last read, on time.monotonic.
    readers: dict[str, float] = field(default_factory=dict)

    @property
    def gone(self) -> bool:
        """Closed, and nothing left of it."""
        return self.closed_s is not None and self.trimmed == len(self.records) > 0


class ManyShards:
    """The stream `arn` with as many roots as `shards`. `counts` tells what has happened to it."""

    def __init__(self, arn: str, shards: int, seed: int = 0) -> None:
        self.arn = arn
        self.behaviour = Behaviour()
        self.enabled = True
        # Shards that listings leave out.
        self.hidden: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.random = random.Random(seed)
        self._shards: dict[str, Shard] = {}
        self._open: list[Shard] = []
        self._made = 0
        self._sequence = 0
        for low, high in pairwise([index * HASHES // shards for index in range(shards + 1)]):
            self._begin(None, (low, high))

    def append(self, key_hash: int, sequence: int, record: bytes) -> None:
        """A record with its (spaced) sequence number, which is above all before it."""
        assert sequence > self._sequence, f"{sequence} after {self._sequence}"
        self._sequence = sequence
        shard = next(shard for shard in self._open if shard.hashes[0] <= key_hash < shard.hashes[1])
        shard.records.append(record)
        shard.sequences.append(sequence)
        shard.times_s.append(time.time())
        self.counts["records"] += 1

    def open_shards(self) -> list[str]:
        """Ids of the shards that are being written, by the hashes that they take."""
        return [shard.id for shard in sorted(self._open, key=lambda shard: shard.hashes)]

    def closed_shards(self) -> list[str]:
        """Ids of the shards that are closed and still there, oldest first."""
        return [shard.id for shard in self._shards.values() if shard.closed_s is not None]

    def shard(self, shard_id: str) -> Shard:
        """One shard, to look at. Raises Refusal (ResourceNotFoundException)."""
        shard = self._shards.get(shard_id)
        if shard is None:
            raise not_found("Shard")
        return shard

    def roll(self, shard_id: str) -> list[str]:
        """Close a shard and open its successor, as the service does about every four hours."""
        self.counts["rolls"] += 1
        return [self._begin(shard_id, self._close(shard_id).hashes)]

    def split(self, shard_id: str) -> list[str]:
        """Close a shard and open two, each with half of its keys."""
        self.counts["splits"] += 1
        low, high = self._close(shard_id).hashes
        middle = (low + high) // 2
        return [self._begin(shard_id, (low, middle)), self._begin(shard_id, (middle, high))]

    def disable(self) -> None:
        """The stream is off: every shard is closed, without children."""
        self.enabled = False
        for shard_id in self.open_shards():
            self._close(shard_id)

    def trim(self, shard_id: str, keep: int = 0) -> None:
        """Drop a shard's records but for the last `keep`; a closed shard with nothing left is no longer known."""
        shard = self.shard(shard_id)
        edge = max(shard.trimmed, len(shard.records) - keep)
        for at in range(shard.trimmed, edge):
            shard.records[at] = b""
        self.counts["trimmed"] += edge - shard.trimmed
        shard.trimmed = edge
        if shard.gone:
            del self._shards[shard.id]

    def trim_older(self, keep_s: float) -> None:
        """Drop records that came longer ago than `keep_s`, and closed shards that are empty by then."""
        for shard in list(self._shards.values()):
            self.trim(shard.id, len(shard.records) - bisect_right(shard.times_s, time.time() - keep_s))

    def send_empty_pages(self, shard_id: str, count: int) -> None:
        """The next `count` reads of the shard give no records, though there may be some."""
        self.shard(shard_id).empty_pages = count

    def listing(
        self, after: str, most: int, parent_id: str | None = None
    ) -> tuple[list[dict[str, object]], str | None]:
        """One page: shards behind the id `after`, children of `parent_id` only if given; and where the page ended."""
        how = self.behaviour
        as_of_s = time.time() - self.random.uniform(0.0, how.lag_s)
        ids = sorted(s.id for s in self._listed(as_of_s) if parent_id in (None, s.parent_id))
        if after and self.random.random() < how.repeat_rate:
            self.counts["repeated"] += 1
            begin = bisect_left(ids, after)
        else:
            begin = bisect_right(ids, after)
        page = ids[begin : begin + most]
        last = page[-1] if len(ids) > begin + most else None
        if len(page) > 1 and self.random.random() < how.omit_rate:
            self.counts["omitted"] += 1
            page.remove(self.random.choice(page[:-1]))
        return [_described(self._shards[shard_id], as_of_s) for shard_id in page], last

    def iterator(self, shard_id: str, kind: str, sequence: str | None) -> str:
        """GetShardIterator; begins a new reader. Raises Refusal."""
        shard = self.shard(shard_id)
        match kind:
            case "TRIM_HORIZON":
                position = shard.trimmed
            case "LATEST":
                position = len(shard.records)
            case "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER":
                position = self._position(shard, sequence or "", kind == "AT_SEQUENCE_NUMBER")
            case _:
                raise invalid(f"ShardIteratorType {kind}")
        self.counts["iterators"] += 1
        return self._token(shard, f"reader{self.counts['iterators']}", position)

    def page(self, iterator: str, most: int) -> tuple[list[bytes], str | None]:
        """GetRecords: records, and the next iterator unless that was the shard's end. Raises Refusal."""
        try:
            _, _, shard_id, reader, position_text, made_text = iterator.split("|")
            position, made_s = int(position_text), float(made_text)
        except ValueError as error:
            raise invalid("Invalid ShardIterator") from error
        if time.monotonic() - made_s > self.behaviour.iterator_life_s:
            self.counts["expired"] += 1
            raise iterator_expired()
        shard = self.shard(shard_id)
        self._admit(shard, reader)
        if position < shard.trimmed:
            self.counts["read trimmed"] += 1
            raise trimmed()
        records = [] if self._empty(shard, position) else _fitting(shard.records, position, most)
        position += len(records)
        ended = shard.closed_s is not None and position == len(shard.records)
        if ended and self.random.random() < self.behaviour.late_end_rate:
            self.counts["late ends"] += 1
            ended = False
        return records, None if ended else self._token(shard, reader, position)

    def _listed(self, as_of_s: float) -> Iterator[Shard]:
        for shard in self._shards.values():
            if shard.opened_s <= as_of_s and shard.id not in self.hidden:
                yield shard

    def _position(self, shard: Shard, sequence: str, at: bool) -> int:
        last = self._sequence if shard.last is None else shard.last
        if not sequence.isdigit() or not shard.first <= int(sequence) <= last:
            raise invalid(f"Invalid SequenceNumber: {sequence} is not in the range of {shard.id}")
        if shard.trimmed and int(sequence) <= shard.sequences[shard.trimmed - 1]:
            raise trimmed()
        return (bisect_left if at else bisect_right)(shard.sequences, int(sequence))

    def _admit(self, shard: Shard, reader: str) -> None:
        """Two readers of a shard at most: whoever has read within the window is one."""
        now_s = time.monotonic()
        for other, at_s in list(shard.readers.items()):
            if now_s - at_s > self.behaviour.reader_window_s:
                del shard.readers[other]
        if reader not in shard.readers and len(shard.readers) >= self.behaviour.readers_max:
            self.counts["readers refused"] += 1
            raise too_many_readers()
        shard.readers[reader] = now_s

    def _empty(self, shard: Shard, position: int) -> bool:
        if position == len(shard.records):
            return False
        if shard.empty_pages:
            shard.empty_pages -= 1
        elif self.random.random() >= self.behaviour.empty_rate:
            return False
        self.counts["empty pages"] += 1
        return True

    def _token(self, shard: Shard, reader: str, position: int) -> str:
        return f"{OUR_ITERATOR}{self.arn}|{shard.id}|{reader}|{position}|{time.monotonic()!r}"

    def _begin(self, parent_id: str | None, hashes: tuple[int, int]) -> str:
        now_s = time.time()
        self._made += 1
        shard_id = f"shardId-{int(now_s * 1000):020d}-{self._made:08x}"
        # Roots are as old as the stream: a lagging listing shows them.
        opened_s = 0.0 if parent_id is None else now_s
        shard = self._shards[shard_id] = Shard(shard_id, parent_id, hashes, self._between(), opened_s)
        self._open.append(shard)
        return shard_id

    def _close(self, shard_id: str) -> Shard:
        shard = self.shard(shard_id)
        assert shard.closed_s is None, f"{shard_id} is closed already"
        self._open.remove(shard)
        shard.closed_s = time.time()
        shard.last = self._between()
        self.counts["closed"] += 1
        return shard

    def _between(self) -> int:
        """A sequence number that no record has, above all so far."""
        self._sequence += 1
        assert self._sequence % SPACING, "too many shards began and ended between two records"
        return self._sequence


def digits(sequence: int) -> str:
    """A sequence number as the service writes it, wide enough to compare as text."""
    return f"{sequence:024d}"


def _described(shard: Shard, as_of_s: float) -> dict[str, object]:
    ends = {"StartingSequenceNumber": digits(shard.first)}
    if shard.last is not None and shard.closed_s is not None and shard.closed_s <= as_of_s:
        ends["EndingSequenceNumber"] = digits(shard.last)
    parent = {} if shard.parent_id is None else {"ParentShardId": shard.parent_id}
    return {"ShardId": shard.id, "SequenceNumberRange": ends, **parent}


def _fitting(records: list[bytes], position: int, most: int) -> list[bytes]:
    """The records of one page: up to `most`, and about 1 MB, but at least one."""
    page: list[bytes] = []
    size = 0
    for record in records[position : position + most]:
        size += len(record)
        if page and size > PAGE_BYTES_MAX:
            break
        page.append(record)
    return page
