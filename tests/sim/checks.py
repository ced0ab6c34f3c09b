"""What must hold at every step, whatever goes wrong: told of every change, write, lease row and departure.

A change is durable once its image, or that of a newer change of its item, was applied at the destination.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from dynamirror.model.change import Write
from dynamirror.model.diff import Item
from dynamirror.model.key import Key
from dynamirror.model.lease import SENTINELS, SHARD_END
from dynamirror.testing.memory_stream import MemoryStream

# A proof allows sending for a second after it was sent; clocks drift a little.
PROOF_S = 1.0 + 0.05


class Violated(AssertionError):
    """A promise was broken."""


class Checks:
    """Raises nothing itself: `wrong` is what was found first. Hooks run inside the services, whose errors are lost."""

    def __init__(self, stream: MemoryStream, counts: Counter[str]) -> None:
        self._stream = stream
        self._counts = counts
        self.wrong: str | None = None
        # Of each item: the images it had, in order, and which of them is known to have been applied.
        self._images: dict[Key, list[Item | None]] = defaultdict(list)
        self._reached: dict[Key, int] = defaultdict(lambda: -1)
        # Of each shard: (sequence number, key, place in its images) of the changes not yet passed by the checkpoint.
        self._ahead: dict[str, list[tuple[int, Key, int]]] = defaultdict(list)
        self._shards_of: dict[Key, set[str]] = defaultdict(set)
        self._parents: dict[str, str | None] = {}
        self._rows: dict[str, dict[str, Any]] = {}
        self._left_at_s: dict[tuple[str, str], float] = {}

    @property
    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def fail(self, what: str) -> None:
        if self.wrong is None:
            self.wrong = f"at {self._now_s:.2f} s: {what}"

    def changed(self, key: Key, item: Item | None, sequence: str | None) -> None:
        """The application changed an item; `sequence` None: nothing was recorded."""
        if sequence is None:
            return
        shard_id = self._stream.shard_of_key(key)
        images = self._images[key]
        images.append(item)
        self._ahead[shard_id].append((int(sequence), key, len(images) - 1))
        self._shards_of[key].add(shard_id)

    def applied(self, key: Key, item: Item | None) -> None:
        """Something was written at the destination."""
        images = self._images[key]
        for place in range(len(images) - 1, self._reached[key], -1):
            if images[place] == item:
                self._reached[key] = place
                return
        if item not in images and item is not None:
            self.fail(f"{key}: {item} was never there")

    def departs(self, worker: str, writes: Sequence[Write]) -> None:
        """A batch leaves a machine that is not frozen: it must have had the lease a proof's time ago (P-10)."""
        for write in writes:
            owners = [self._had(worker, shard_id) for shard_id in self._shards_of[write.key]]
            if not any(owners):
                self.fail(f"{worker} sends {write.key} without a lease")

    def _had(self, worker: str, shard_id: str) -> bool:
        if self._owner(shard_id) == worker:
            return True
        left_at_s = self._left_at_s.get((worker, shard_id))
        return left_at_s is not None and self._now_s - left_at_s <= PROOF_S

    def _owner(self, shard_id: str) -> str | None:
        owner: str | None = self._rows.get(shard_id, {}).get("leaseOwner", {}).get("S")
        return owner

    def lease_row(self, shard_id: str, row: Item | None) -> None:
        """A row of the lease table was written."""
        if row is None:
            self.fail(f"the row of {shard_id} was deleted")
            return
        before = self._rows.get(shard_id, {})
        self._rows[shard_id] = dict(row)
        self._note_owner(shard_id, before, row)
        checkpoint = row["checkpoint"]["S"]
        if before and before["checkpoint"]["S"] == SHARD_END and checkpoint != SHARD_END:
            self.fail(f"{shard_id} was finished and is at {checkpoint} again")
        if checkpoint not in SENTINELS or checkpoint == SHARD_END:
            self._check_checkpoint(shard_id, checkpoint)

    def _note_owner(self, shard_id: str, before: dict[str, Any], row: Item) -> None:
        old = before.get("leaseOwner", {}).get("S")
        new = row.get("leaseOwner", {}).get("S")
        if before and int(row["leaseCounter"]["N"]) != int(before["leaseCounter"]["N"]) + 1:
            self.fail(f"the counter of {shard_id} went from {before['leaseCounter']} to {row['leaseCounter']}")
        if old is not None and new != old:
            self._left_at_s[old, shard_id] = self._now_s
        if old is not None and new is not None and old != new:
            self._counts["take-over"] += 1
        if before and old is None and new is not None and "xr_clean" in before:
            self._counts["clean hand-over"] += 1

    def _check_checkpoint(self, shard_id: str, checkpoint: str) -> None:
        parents = self._rows[shard_id].get("parentShardId", {}).get("SS", [])
        for parent in parents:
            if parent in self._rows and self._rows[parent]["checkpoint"]["S"] != SHARD_END:
                self.fail(f"{shard_id} is at {checkpoint}, its parent {parent} is not finished")
        if checkpoint == SHARD_END and shard_id in self._stream.open_shards():
            self.fail(f"{shard_id} is finished and still open")
        position = float("inf") if checkpoint == SHARD_END else int(checkpoint)
        ahead = self._ahead[shard_id]
        passed = 0
        for sequence, key, place in ahead:
            if sequence > position:
                break
            passed += 1
            if self._reached[key] < place:
                self.fail(f"{shard_id} is at {checkpoint}, change {sequence} of {key} is not durable")
        del ahead[:passed]

    def owners(self) -> set[str | None]:
        """Owners of the shards that are not finished and whose parents are."""
        unfinished = {shard_id for shard_id, row in self._rows.items() if row["checkpoint"]["S"] != SHARD_END}
        return {self._owner(shard_id) for shard_id in unfinished}
