"""A stand-in for all that a fleet asks: a stream of many shards, and the tables of leases and state, in one process.

`python -m bench.fleet_standin JSON` ({"lanes": ..., "every_s": ...}): prints its port, serves until killed. Workers are
told apart by their access keys. `GET /` tells what was asked and what arrived, `GET /roll/LANE` ends a shard,
`/roll/all` one of each lane. The tables of leases and state are those of the simulation (dynamirror.testing), with
real condition expressions.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, cast
from zlib import crc32

import uvloop

from bench import pages
from bench.fleet_stream import FleetStream
from bench.serving import Connection, error, json_body, plain, response
from bench.standin import described_table
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB

_TARGET = re.compile(rb"x-amz-target: *\w+\.(\w+)", re.IGNORECASE)
_KEY_ID = re.compile(rb"Credential=([^/]+)/")
_PATH = re.compile(rb"GET /roll/(\d+|all) ")
_KEY = re.compile(pages.KEY_MARK + rb"(\d{%d})" % pages.KEY_DIGITS)
_ITERATOR = re.compile(rb'"ShardIterator": ?"([0-9-]+)"')
_TABLE = re.compile(rb'"TableName": ?"([^"]+)"')
_WRITTEN = b'{"UnprocessedItems":{}}'


class FleetStandin:
    """Answers; shared by all connections."""

    def __init__(self, lanes: int, every_s: float) -> None:
        self.stream = FleetStream(lanes, every_s)
        self._lanes = lanes
        self.connections = 0
        self._tables = MemoryDynamoDB()
        self._requests: Counter[str] = Counter()
        # Of leases and state: operation and table.
        self._table_requests: Counter[str] = Counter()
        self._bytes_in = self._bytes_out = 0
        # When changes of a shard first arrived from another worker than before: time, shard, worker.
        self._handed_on: list[tuple[float, int, str]] = []

    def answer(self, head: bytes, body: bytes, send: Callable[[bytes], None]) -> None:
        """Send the complete response to one request."""
        target = _TARGET.search(head)
        if target is None:
            if path := _PATH.match(head):
                lanes = range(self._lanes) if path[1] == b"all" else (int(path[1]),)
                for lane in lanes:
                    self.stream.roll(lane)
            send(plain(json_body(self.facts())))
            return
        worker = cast(re.Match[bytes], _KEY_ID.search(head))[1].decode()
        self._requests[target[1].decode()] += 1
        got = self._answer(target[1], body, worker)
        self._bytes_in += len(head) + 2 + len(body)
        self._bytes_out += len(got)
        send(got)

    def facts(self) -> dict[str, Any]:
        """For the runner."""
        return {
            "now_s": time.monotonic(),
            "cpu_s": time.process_time(),
            "requests": dict(self._requests),
            "table_requests": dict(self._table_requests),
            "bytes_in": self._bytes_in,
            "bytes_out": self._bytes_out,
            "connections": self.connections,
            "shards": [shard.facts() for shard in self.stream.shards],
            "handed_on": self._handed_on,
        }

    def _answer(self, operation: bytes, body: bytes, worker: str) -> bytes:
        match operation:
            case b"GetRecords":
                iterator = cast(re.Match[bytes], _ITERATOR.search(body))[1].decode()
                page = self.stream.page(iterator, worker)
                return response(page.body, page.crc32)
            case b"GetShardIterator":
                return plain(json_body({"ShardIterator": self.stream.iterator(json.loads(body))}))
            case b"DescribeStream":
                return plain(self.stream.listing(json.loads(body)))
            case b"BatchWriteItem" if pages.DESTINATION.encode() in body:
                self._arrived(body, worker)
                return plain(_WRITTEN)
        name = cast(re.Match[bytes], _TABLE.search(body))[1].decode() if b'"TableName"' in body else ""
        if operation == b"DescribeTable" and name in (pages.SOURCE, pages.DESTINATION):
            return plain(json_body({"Table": described_table(name)}))
        if operation == b"Scan" and name in (pages.SOURCE, pages.DESTINATION):
            return plain(b'{"Items":[],"Count":0,"ScannedCount":0}')
        if name in (pages.SOURCE, pages.DESTINATION):
            return error("UnknownOperationException", operation.decode())
        self._table_requests[f"{operation.decode()} {name}"] += 1
        got = self._tables.answer(operation.decode(), body)
        return response(got.body, crc32(got.body), "200 OK" if got.status == 200 else f"{got.status} Refused")

    def _arrived(self, body: bytes, worker: str) -> None:
        now_s = time.monotonic()
        for key in _KEY.findall(body):
            shard = self.stream.shard_of_key(int(key))
            if shard.applied_at_s is None:
                shard.applied_at_s = now_s
            if shard.writer != worker:
                self._handed_on.append((now_s, shard.number, worker))
                shard.writer = worker


class Counted(Connection):
    """Counts those that are open."""

    def __init__(self, standin: FleetStandin) -> None:
        super().__init__(standin.answer)
        self._standin = standin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._standin.connections += 1
        super().connection_made(transport)

    def connection_lost(self, failure: Exception | None) -> None:
        self._standin.connections -= 1


async def main(lanes: int, every_s: float) -> None:
    """Serve for ever."""
    standin = FleetStandin(lanes, every_s)
    server = await asyncio.get_running_loop().create_server(lambda: Counted(standin), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(**json.loads(sys.argv[1])))
