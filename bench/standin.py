"""A stand-in for DynamoDB and its streams that costs next to nothing: what is measured against it is the client.

`python -m bench.standin JSON`, a bench.load.Load: prints its port, serves until killed. It knows DescribeTable,
DescribeStream, GetShardIterator, GetRecords, Scan and BatchWriteItem, answers from bytes made beforehand where it can,
with a correct x-amz-crc32 and the time, and counts what it is asked. `GET /` tells the counts. Leases and state are not
its business: --kcl-endpoint.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

from bench import pages
from bench.load import Load
from bench.serving import Connection, error, json_body, plain, response
from bench.stream import PacedStream, ReadyStream, Stream, description
from bench.table import Table, nothing

_TARGET = re.compile(rb"x-amz-target: *\w+\.(\w+)", re.IGNORECASE)
_SIGNATURE = re.compile(
    rb"authorization: *AWS4-HMAC-SHA256 Credential=[^/\s]+/\d{8}/[a-z0-9-]+/dynamodb/aws4_request, ?"
    rb"SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, ?Signature=[0-9a-f]{64}\r\n",
    re.IGNORECASE,
)
_DATE = re.compile(rb"\r\nx-amz-date: *\d{8}T\d{6}Z\r\n", re.IGNORECASE)
_KEY = re.compile(pages.KEY_MARK + rb"(\d{%d})" % pages.KEY_DIGITS)
_ITERATOR = re.compile(rb'"ShardIterator": ?"([0-9-]+)"')

_WRITTEN = b'{"UnprocessedItems":{}}'
_WRITTEN_METERED = b'{"UnprocessedItems":{},"ConsumedCapacity":[{"TableName":"%s","CapacityUnits":%d.0}]}'
_METERED = b'"ReturnConsumedCapacity"'


@dataclass(slots=True)
class Counts:
    """What has been asked so far, and when. Times are of this process: wall (monotonic) and CPU seconds."""

    seen: bytearray
    requests: Counter[str] = field(default_factory=Counter)
    unsigned: int = 0
    keys: int = 0
    distinct: int = 0
    first_read: tuple[float, float] | None = None
    last_new_key: tuple[float, float] = (0.0, 0.0)
    # When the last item of the table was written that was new; monotonic.
    last_new_item_s: float = 0.0
    # Of one change in each batch of a paced stream, from its making to its arrival: how many of how many tenths of a
    # second.
    lag: Counter[int] = field(default_factory=Counter)

    def facts(self) -> dict[str, Any]:
        """For the runner. `wall_s` and `cpu_s`: from the first page of what is read to the last key that was new."""
        wall_s, cpu_s = self.first_read or (0.0, 0.0)
        done = self.distinct > 0
        return {
            "requests": dict(self.requests),
            "unsigned": self.unsigned,
            "keys": self.keys,
            "distinct": self.distinct,
            "wall_s": self.last_new_key[0] - wall_s if done else 0.0,
            "cpu_s": self.last_new_key[1] - cpu_s if done else 0.0,
            "items_s": self.last_new_item_s - wall_s if self.last_new_item_s else 0.0,
            "lag": sorted(self.lag.items()),
        }


class Standin:
    """Answers; shared by all connections."""

    def __init__(self, load: Load) -> None:
        """Keys are numbered from 0: those of changes, then those of items."""
        self.counts = Counts(bytearray(load.count))
        self._load = load
        changes = load.changes
        self._stream: Stream = PacedStream(changes, load.rate) if load.rate else ReadyStream(changes)
        self._table = Table(load.items, load.item_bytes, changes, load.page_items_max)

    def answer(self, head: bytes, body: bytes, send: Callable[[bytes], None]) -> None:
        """Send the complete response to one request, at once or after a while."""
        target = _TARGET.search(head)
        if target is not None and target[1] == b"Scan" and self._load.page_pause_s:
            answer = self._answer(target[1], head, body)
            asyncio.get_running_loop().call_later(self._load.page_pause_s, send, answer)
        elif target is not None:
            send(self._answer(target[1], head, body))
        else:
            send(plain(json_body(self.counts.facts())))

    def _answer(self, operation: bytes, head: bytes, body: bytes) -> bytes:
        counts = self.counts
        if _SIGNATURE.search(head) is None or _DATE.search(head) is None:
            counts.unsigned += 1
        counts.requests[operation.decode()] += 1
        match operation:
            case b"BatchWriteItem":
                return self._write(body)
            case b"Scan":
                return plain(self._scan(json.loads(body)))
            case b"GetRecords":
                if self._load.changes:
                    self._reading()
                page = self._stream.page(cast(re.Match[bytes], _ITERATOR.search(body))[1].decode())
                return response(page.body, page.crc32)
            case b"GetShardIterator":
                return plain(json_body({"ShardIterator": self._stream.iterator(json.loads(body))}))
            case b"DescribeStream":
                return plain(description())
            case b"DescribeTable":
                return self._describe_table(json.loads(body)["TableName"])
            case _:
                return error("UnknownOperationException", operation.decode())

    def _reading(self) -> None:
        if self.counts.first_read is None:
            self.counts.first_read = _now()

    def _scan(self, request: dict[str, Any]) -> bytes:
        if request["TableName"] != pages.SOURCE:
            return nothing()
        self._reading()
        return self._table.page(request)

    def _describe_table(self, name: str) -> bytes:
        if name not in (pages.SOURCE, pages.DESTINATION):
            return error("ResourceNotFoundException", f"no table {name}")
        table = described_table(name)
        if name == pages.SOURCE:
            table["ItemCount"] = self._load.items
            table["TableSizeBytes"] = self._load.items * self._load.item_bytes
        return plain(json_body({"Table": table}))

    def _write(self, body: bytes) -> bytes:
        counts, seen = self.counts, self.counts.seen
        keys = _KEY.findall(body)
        counts.keys += len(keys)
        new = 0
        number = 0
        for key in keys:
            number = int(key)
            if not seen[number]:
                seen[number] = 1
                new += 1
        if new:
            counts.distinct += new
            counts.last_new_key = _now()
            if number >= self._load.changes:
                counts.last_new_item_s = counts.last_new_key[0]
            elif (created_s := self._stream.created_s(number)) is not None:
                counts.lag[int((time.time() - created_s) * 10)] += 1
        if _METERED not in body[-64:]:
            return plain(_WRITTEN)
        units = len(keys) * -(-self._load.item_bytes // 1024)
        return plain(_WRITTEN_METERED % (pages.DESTINATION.encode(), units))


def described_table(name: str) -> dict[str, Any]:
    """The description of source or destination, without how large it is."""
    table: dict[str, Any] = {
        "TableName": name,
        "TableArn": f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}",
        "TableId": f"00000000-0000-0000-0000-{len(name):012}",
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ItemCount": 0,
        "TableSizeBytes": 0,
    }
    if name == pages.SOURCE:
        table["LatestStreamArn"] = pages.STREAM_ARN
        table["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    return table


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


async def main(load: Load) -> None:
    """Serve for ever."""
    standin = Standin(load)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(standin.answer), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(Load(**json.loads(sys.argv[1]))))
