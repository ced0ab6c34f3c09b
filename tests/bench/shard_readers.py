"""Judges who reads which shard, from what passes through the proxy: each worker has an access key of its own.

Parents first: GetShardIterator (of any type) or GetRecords of a shard that has a parent counts as too early
* until a page of the parent without NextShardIterator was given out, to whichever worker, and
* until a write of SHARD_END to the parent's lease row was carried out: that is what the protocol promises.

Readers: different workers, whose processes have not ended meanwhile, that have asked for records of one shard within a
second; the service takes two. Counted from `begin` on: before a task begins each of its workers looks once whether it
may read the first shard.
"""

import json
import re
import time
from collections.abc import Callable
from typing import Any

from tests.bench.answers import Answer
from tests.bench.call import Call
from tests.bench.proxy import Watcher

READERS_MAX = 2
WINDOW_S = 1.0

_SET = re.compile(r"(#\w+) = (:\w+)")


class ShardReaders(Watcher):
    """`faults` has a line for each offence. `parent_of`: of a shard, None for a root."""

    def __init__(
        self, parent_of: Callable[[str], str | None], lease_table: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.faults: list[str] = []
        self._begun = False
        # The most workers that read one shard within a second.
        self.at_once_max = 0
        self._parent_of = parent_of
        self._lease_table = lease_table
        self._clock = clock
        self._ended: set[str] = set()
        self._finished: set[str] = set()
        self._lately: dict[str, dict[str, float]] = {}
        self._all: dict[str, set[str]] = {}

    @property
    def handed_on(self) -> int:
        """Shards that more than one worker has read."""
        return sum(len(workers) > 1 for workers in self._all.values())

    def begin(self) -> None:
        """All have started: count readers from now on."""
        self._begun = True

    def left(self, worker: str) -> None:
        """Its process has ended: what it asked for is nobody's reading any more."""
        for lately in self._lately.values():
            lately.pop(worker, None)

    def asked(self, call: Call) -> None:
        """See Watcher."""
        if call.operation not in ("GetShardIterator", "GetRecords"):
            return
        self._judge_order(call)
        if call.operation == "GetRecords" and self._begun:
            self._judge_readers(call)

    def answered(self, call: Call, got: Answer) -> None:
        """See Watcher."""
        if got.status != 200:
            return
        # The many-shard stream's pages end so when there is no NextShardIterator.
        if call.operation == "GetRecords" and got.body.endswith(b"]}"):
            self._ended.add(call.shard)
        elif call.operation == "UpdateItem" and call.table == self._lease_table:
            self._note_finished(json.loads(call.body))

    def _judge_order(self, call: Call) -> None:
        parent = self._parent_of(call.shard)
        if parent is None:
            return
        what = f"{call.access_key} asked for {call.operation} of {call.shard} before its parent"
        if parent not in self._ended:
            self.faults.append(f"{what} was read to its end")
        elif parent not in self._finished:
            self.faults.append(f"{what} was written down as finished")

    def _judge_readers(self, call: Call) -> None:
        now_s = self._clock()
        self._all.setdefault(call.shard, set()).add(call.access_key)
        lately = self._lately.setdefault(call.shard, {})
        lately[call.access_key] = now_s
        for worker, at_s in list(lately.items()):
            if now_s - at_s > WINDOW_S:
                del lately[worker]
        self.at_once_max = max(self.at_once_max, len(lately))
        if len(lately) > READERS_MAX:
            ages = ", ".join(f"{worker} {now_s - at_s:.2f} s ago" for worker, at_s in lately.items())
            self.faults.append(f"{len(lately)} workers read {call.shard} within a second at {now_s:.2f}: {ages}")

    def _note_finished(self, request: dict[str, Any]) -> None:
        names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
        for name, value in _SET.findall(request["UpdateExpression"]):
            if names[name] == "checkpoint" and values[value] == {"S": "SHARD_END"}:
                self._finished.add(request["Key"]["leaseKey"]["S"])
