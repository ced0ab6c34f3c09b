"""The stream that the stand-in serves: every key once, 1 KB in each image, as the service would send it.

Items of a table (bench/table) are made of the same attributes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

SHARDS = 16
# About 1 MB of JSON, where the service ends a page.
RECORDS_A_PAGE = 400
STREAM_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/bench-source/stream/2025-01-01T00:00:00.000"
SOURCE, DESTINATION = "bench-source", "bench-destination"
# Found by a plain search in a request's body; stands nowhere but in the key.
KEY_MARK = b"key~"
KEY_DIGITS = 9
ITEM_BYTES = 1024

# Flat, few attributes: a client that makes objects of items has the least work with these.
_REST = (
    '"customer":{"S":"Ω Lantern & Kettle Ltd"},"total":{"N":"1299.95"},"paid":{"BOOL":true},'
    '"tags":{"SS":["a","b"]},"note":{"S":"%s"}'
)
# Names and values count, JSON's quotes and braces do not (Developer Guide, "Item sizes"): an item without its note.
_BARE_BYTES = 71


@dataclass(frozen=True, slots=True)
class Served:
    """A complete answer's body with its checksum."""

    body: bytes
    crc32: int


def attributes(item_bytes: int, fill: str) -> str:
    """All but the key of an item of `item_bytes` (with its key), as JSON without braces; `fill` is one letter."""
    return _REST % (fill * (item_bytes - _BARE_BYTES))


def shard_id(shard: int) -> str:
    """As long as the service's own."""
    return f"shardId-00000001732000000000-{shard:08x}"


def iterator(shard: int, page: int) -> str:
    """Names one page for ever: the stand-in's iterators do not expire."""
    return f"{shard:02}-{page:06}"


def pages(changes: int) -> dict[str, Served]:
    """All pages by iterator, `changes` records in all, and an empty one at each shard's end that leads to itself."""
    numbers = iter(range(changes))
    made: dict[str, Served] = {}
    per_shard = -(-changes // SHARDS)
    for shard in range(SHARDS):
        left, page = per_shard, 0
        while left > 0:
            chosen = [number for _, number in zip(range(min(left, RECORDS_A_PAGE)), numbers, strict=False)]
            if not chosen:
                break
            made[iterator(shard, page)] = _served(chosen, iterator(shard, page + 1))
            left -= len(chosen)
            page += 1
        made[iterator(shard, page)] = _served([], iterator(shard, page))
    return made


def _served(numbers: list[int], next_iterator: str) -> Served:
    body = f'{{"NextShardIterator":"{next_iterator}","Records":[{",".join(_records(numbers))}]}}'.encode()
    return Served(body, crc32(body))


def _records(numbers: list[int]) -> Iterator[str]:
    new, old = attributes(ITEM_BYTES, "n"), attributes(ITEM_BYTES, "o")
    for number in numbers:
        key = f'"pk":{{"S":"{KEY_MARK.decode()}{number:0{KEY_DIGITS}}"}}'
        yield record(key, (new, old), ("1.732E9", str(10**20 + number), f"{number:032x}"))


def record(key: str, images: tuple[str, str], stamps: tuple[str, str, str]) -> str:
    """One record as JSON. `images`: the rest of the new and of the old one; `stamps`: when made, sequence, event id."""
    (new, old), (created, sequence, event_id) = images, stamps
    return (
        f'{{"awsRegion":"us-east-1","dynamodb":{{"ApproximateCreationDateTime":{created},"Keys":{{{key}}},'
        f'"NewImage":{{{key},{new}}},"OldImage":{{{key},{old}}},'
        f'"SequenceNumber":"{sequence}","SizeBytes":2070,"StreamViewType":"NEW_AND_OLD_IMAGES"}},'
        f'"eventID":"{event_id}","eventName":"MODIFY","eventSource":"aws:dynamodb","eventVersion":"1.1"}}'
    )
