"""What the parts of a change's way cost, and of a copied item's, each by itself, best of several rounds.

Of a page of 400 changes of 1 KB, and of one with a megabyte of such items.
"""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from zlib import crc32

import msgspec

from bench.pages import DESTINATION, ITEM_BYTES, RECORDS_A_PAGE, SOURCE, iterator, pages
from bench.table import Table
from dynamirror.aws.credentials import Credentials
from dynamirror.aws.scan import TableScan
from dynamirror.aws.sigv4 import Signer
from dynamirror.aws.tables import BatchWriter
from dynamirror.model.change import decode_page, put_of
from dynamirror.model.coalesce import coalesce
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema

_ROUNDS, _TIMES = 7, 20
_BATCH = 25
ITEMS_A_PAGE = 1024


@dataclass(frozen=True, slots=True)
class Micro:
    """One part of the way."""

    name: str
    us_each: float


def micro() -> list[Micro]:
    """All parts, in the order of a change's way, then of an item's."""
    return _of_a_change() + _of_an_item()


def _of_a_change() -> list[Micro]:
    body = pages(RECORDS_A_PAGE * 16)[iterator(0, 0)].body
    records = decode_page(body).records
    codec = KeyCodec(KeySchema(KeyAttribute("pk", "S")))
    writes = coalesce(records, codec.of)
    caller = _Caller()
    writer = BatchWriter(caller, DESTINATION, codec)
    batch = writes[:_BATCH]
    signer, credentials = Signer("us-east-1"), Credentials("AKIDBENCH", "secret")

    def sign() -> object:
        target = "DynamoDB_20120810.BatchWriteItem"
        return signer.headers("127.0.0.1:8000", "/", target, caller.body, credentials, 1.8e9)

    return [
        Micro("check the page's checksum", _cost(lambda: crc32(body), RECORDS_A_PAGE)),
        Micro("decode the page", _cost(lambda: decode_page(body), RECORDS_A_PAGE)),
        Micro("coalesce, keys read and writes made", _cost(lambda: coalesce(records, codec.of), RECORDS_A_PAGE)),
        Micro("make a batch, read its answer", _cost(lambda: _run(writer.write(batch)), _BATCH)),
        Micro("sign a batch", _cost(sign, _BATCH)),
    ]


class _Caller:
    """Answers at once, unless told otherwise that all was processed; keeps the last request."""

    url = "https://bench.invalid/"
    body = b""
    answer = b'{"UnprocessedItems":{}}'

    async def call(self, operation: str, body: bytes) -> bytes:
        self.body = body
        return self.answer


def _of_an_item() -> list[Micro]:
    caller = _Caller()
    body = caller.answer = Table(ITEMS_A_PAGE, ITEM_BYTES).page({})
    scan, codec = TableScan(caller, SOURCE), KeyCodec(KeySchema(KeyAttribute("pk", "S")))
    items = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    page = msgspec.json.decode(items["Items"], type=list[msgspec.Raw])
    return [
        Micro("copy: check the page's checksum", _cost(lambda: crc32(body), ITEMS_A_PAGE)),
        Micro("copy: ask for the page, decode it", _cost(lambda: _run(scan.scan(0, 1, b"", 2000)), ITEMS_A_PAGE)),
        Micro("copy: read keys, make writes", _cost(lambda: [put_of(i, codec.of(i)) for i in page], ITEMS_A_PAGE)),
    ]


def _run(work: Coroutine[object, None, object]) -> None:
    """Run what never waits, without a loop."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


def _cost(work: Callable[[], object], changes: int) -> float:
    """Microseconds a change, of the best round: whatever disturbs a round only makes it longer."""
    best_s = float("inf")
    for _ in range(_ROUNDS):
        begun_s = time.perf_counter()
        for _ in range(_TIMES):
            work()
        best_s = min(best_s, time.perf_counter() - begun_s)
    return best_s / _TIMES / changes * 1e6
