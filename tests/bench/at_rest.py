"""Judges whether an older image rests over a newer one at the destination.

The newest version of each key that was written there is known from the writes that pass through the proxy and are
answered; what stands there is read past it, again and again. Something older than what was written before the reading
began was written over it: legitimate while a shard is read once more after a crash, wrong if it stays.
"""

import json
from dataclasses import dataclass, field

from tests.bench.answers import Answer
from tests.bench.batches import Batch
from tests.bench.call import Call
from tests.bench.proxy import Watcher

VERSION = "version"


@dataclass(slots=True)
class Versions:
    """What the source has been given: each put, and each delete, of a key has a higher number than those before."""

    made: int = 0
    # The last delete of each key.
    deleted: dict[str, int] = field(default_factory=dict)

    def next(self) -> int:
        """The number of a change that is about to be made."""
        self.made += 1
        return self.made


class AtRest(Watcher):
    """`saw` is told of each reading.

    A delete carries no version, so a key that is absent is taken for the newest delete made so far, and a delete does
    not count as something newer: an old delete over a new put is found, an old put over a new delete only at the end,
    by comparing the tables.
    """

    def __init__(self, table: str, versions: Versions) -> None:
        # The longest that something older stood over something newer, in seconds, and what that was.
        self.longest_s = 0.0
        self.longest = ""
        # How often that began at all.
        self.times = 0
        # Puts that were seen to be written, and readings.
        self.puts = self.readings = 0
        self._table = table
        self._versions = versions
        self._newest: dict[str, int] = {}
        self._older_since_s: dict[str, float] = {}

    @property
    def older_now(self) -> list[str]:
        """Keys that are older now than they were."""
        return sorted(self._older_since_s)

    def newest(self) -> dict[str, int]:
        """What was written so far: keep it before a reading begins."""
        return dict(self._newest)

    def answered(self, call: Call, got: Answer) -> None:
        """See Watcher."""
        if call.operation != "BatchWriteItem" or call.table != self._table or got.status != 200:
            return
        left = json.loads(got.body)["UnprocessedItems"]
        assert not left, "what is unprocessed has not been written"
        for _, element in Batch(call).numbered():
            [(kind, request)] = json.loads(bytes(element)).items()
            if kind == "PutRequest":
                self.puts += 1
                key, version = request["Item"]["pk"]["S"], int(request["Item"][VERSION]["N"])
                self._newest[key] = max(version, self._newest.get(key, 0))

    def saw(self, items: dict[str, dict[str, dict[str, str]]], newest: dict[str, int], at_s: float) -> None:
        """What the destination had in a reading that ended at `at_s`; `newest` from before it began."""
        self.readings += 1
        deleted = self._versions.deleted
        for key, wanted in newest.items():
            item = items.get(key)
            found = int(item[VERSION]["N"]) if item is not None else deleted.get(key, 0)
            if found >= wanted:
                self._older_since_s.pop(key, None)
                continue
            if key not in self._older_since_s:
                self._older_since_s[key] = at_s
                self.times += 1
            for_s = at_s - self._older_since_s[key]
            if for_s > self.longest_s:
                self.longest_s = for_s
                self.longest = f"{key}: version {found} instead of {wanted} for {for_s:.1f} s"
