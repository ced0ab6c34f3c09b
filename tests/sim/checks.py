"""What must hold at every step, whatever goes wrong: told of every change, request, write and lease row.

A change is durable once its image, or that of a newer change of its item, stands at the destination and nothing older
that is still on its way can come over it.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from dynamirror.model.change import Write
from dynamirror.model.diff import Item
from dynamirror.model.key import Key
from dynamirror.model.lease import SENTINELS, SHARD_END, may_advance
from dynamirror.settings.groups import LeaseSettings
from dynamirror.testing.memory_stream import MemoryStream
from tests.sim.flights import Flight, Flights, is_java
from tests.sim.images import Images
from tests.sim.life import Life
from tests.sim.parked import ParkedKept

# A proof allows sending for a second after it was sent; clocks drift a little.
PROOF_S = 1.0 + 0.05
# T + L on a clock that drifts.
SETTLE_S = 34.9
# Of the inequality "sending stops T + drift before anybody may take the lease": six seconds, and clocks drift.
CUT_OFF_S = 5.9


class Violated(AssertionError):
    """A promise was broken."""


class Change(NamedTuple):
    """One change: `place` counts the images of its item."""

    sequence: int
    shard_id: str
    key: Key
    place: int
    made_at_s: float


class Checks:
    """Raises nothing itself: `wrong` is what was found first. Hooks run inside the services, whose errors are lost."""

    def __init__(self, stream: MemoryStream, counts: Counter[str], parked: ParkedKept, lease: LeaseSettings) -> None:
        self.flights = Flights()
        self.parked = parked
        self.life = Life(lease.duration_s, lease.java_patience_s)
        self.wrong: str | None = None
        # After an unclean start nothing may be written before T + L (--cautious-takeover).
        self.cautious = False
        # What was changed before is brought by the copy, and need not be sent.
        self.copied_from_s = float("-inf")
        # The request that is being applied came at once, from a machine that was not frozen lately.
        self.prompt = True
        # Whose request it is.
        self.writer = ""
        # Its machine is dead by now.
        self.writer_dead = False
        self.images = Images()
        self._stream = stream
        self._counts = counts
        self._changes: dict[int, Change] = {}
        self._newest: dict[Key, int] = {}
        # Of each shard: the changes not yet passed by the checkpoint.
        self._ahead: dict[str, list[Change]] = defaultdict(list)
        self._parents: dict[str, str] = {}
        self._rows: dict[str, dict[str, Any]] = {}
        self._left_at_s: dict[tuple[str, str], float] = {}
        self._owned_at_s: dict[str, float] = {}
        self._unclean_at_s: dict[str, float] = {}
        self._sent_at_s: dict[tuple[str, str], float] = {}
        # Items that reconcile sees to: what stands there may be older for a while.
        self._excused: set[Key] = set()
        self._lost_shards: set[str] = set()
        # Finished shards whose rows Java has deleted, as they were.
        self._deleted: dict[str, dict[str, Any]] = {}

    @property
    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def fail(self, what: str) -> None:
        if self.wrong is None:
            self.wrong = f"at {self._now_s:.2f} s: {what}"

    # --- the source

    def born(self, parent_id: str, children: Iterable[str]) -> None:
        """A shard has ended; these follow it."""
        self._parents |= dict.fromkeys(children, parent_id)

    def had(self, key: Key, item: Item) -> None:
        """An item was there before the stream."""
        self.images.add(key, item)

    def changed(self, key: Key, item: Item | None, sequence: str | None) -> None:
        """The application changed an item; `sequence` None: nothing was recorded."""
        if sequence is None:
            return
        place = self.images.add(key, item)
        change = Change(int(sequence), self._stream.shard_of_key(key), key, place, self._now_s)
        self._changes[change.sequence] = change
        self._newest[key] = change.sequence
        self._ahead[change.shard_id].append(change)

    def lost(self, shard_id: str) -> None:
        """A gap was noted: of this shard, or up to its end, nobody can read any more."""
        self._lost_shards.add(shard_id)

    # --- the destination

    def is_parked(self, key: Key) -> bool:
        """A row remembers the newest image of an item."""
        return self.parked.covers(key, self._newest.get(key, 0))

    def reconciling(self, writes: Iterable[Write]) -> None:
        """A worker has noticed that these may have left too late."""
        self._excused.update(write.key for write in writes)

    def departs(self, flight: Flight) -> None:
        """A batch leaves: its worker must have had the lease a proof's time ago (P-10), and parents are finished."""
        for write in flight.writes:
            if not write.sequence_number:
                continue  # Of the copy: it needs no lease of a shard.
            change = self._changes[int(write.sequence_number)]
            parent_id = self._parents.get(change.shard_id)
            if parent_id is not None and not self._finished(parent_id):
                self.fail(f"{flight.worker} sends a change of {change.shard_id}, its parent {parent_id} is unfinished")
            if flight.overslept or is_java(flight.worker):
                continue
            if change.shard_id in self._deleted and flight.worker == self.owner(change.shard_id):
                self.fail(f"{flight.worker} reads {change.shard_id} again, whose row was deleted and made anew")
            if not self._had(flight.worker, change.shard_id):
                self.fail(f"{flight.worker} sends {write.key} without the lease of {change.shard_id}")
            unclean_s = self._now_s - self._unclean_at_s.get(change.shard_id, float("-inf"))
            if self.cautious and unclean_s < SETTLE_S and self.owner(change.shard_id) == flight.worker:
                self.fail(f"{flight.worker} sends {write.key} only {unclean_s:.2f} s after it took {change.shard_id}")
            self._sent_at_s[flight.worker, change.shard_id] = self._now_s

    def landed(self, flight: Flight) -> None:
        """A batch has been applied. One that overslept the lease is reconciled once its worker has the answer: what it
        brought stands until then."""
        self.flights.landed(flight)
        if flight.overslept and not is_java(flight.worker):
            self._excused.update(write.key for write in flight.writes if self._lost(flight, write))

    def applied(self, key: Key, item: Item | None) -> None:
        """Something was written at the destination."""
        if not self.images.brought(key, item, self.writer, self.writer_dead) and item is not None:
            self.fail(f"{key}: {item} was never there")

    def _lost(self, flight: Flight, write: Write) -> bool:
        """The right to send it was lost: the lease of its shard, or (a page of the copy) the time."""
        sequence = write.sequence_number
        return not sequence or self.owner(self._changes[int(sequence)].shard_id) != flight.worker

    def _place(self, write: Write) -> int:
        """Which of its item's images a write brings."""
        if write.sequence_number:
            return self._changes[int(write.sequence_number)].place
        return self.images.place_of(write)

    def _had(self, worker: str, shard_id: str) -> bool:
        if self.owner(shard_id) == worker:
            return True
        left_at_s = self._left_at_s.get((worker, shard_id))
        return left_at_s is not None and self._now_s - left_at_s <= PROOF_S

    # --- the lease table

    def lease_row(self, shard_id: str, row: Item | None) -> None:
        """A row of the lease table was written."""
        if row is None:
            self._row_removed(shard_id)
            return
        before = self._rows.get(shard_id, {})
        self._rows[shard_id] = dict(row)
        if before and int(row["leaseCounter"]["N"]) != int(before["leaseCounter"]["N"]) + 1:
            self.fail(f"the counter of {shard_id} went from {before['leaseCounter']} to {row['leaseCounter']}")
        self._note_owner(shard_id, before, row)
        self.life.moved(shard_id, self._now_s)
        checkpoint = row["checkpoint"]["S"]
        if before and not may_advance(before["checkpoint"]["S"], checkpoint):
            self.fail(f"{shard_id} was at {before['checkpoint']['S']} and is at {checkpoint} again")
        if checkpoint not in SENTINELS or checkpoint == SHARD_END:
            self._check_checkpoint(shard_id, checkpoint)

    def _row_removed(self, shard_id: str) -> None:
        if not self._finished(shard_id) or (self._stream.lists(shard_id) and not is_java(self.writer)):
            self.fail(f"the row of {shard_id} was deleted")
        self._counts["row removed"] += 1
        if is_java(self.writer):
            self._deleted[shard_id] = self._rows.pop(shard_id, {})

    def owner(self, shard_id: str) -> str | None:
        """Who has a lease; None: nobody."""
        owner: str | None = self._rows.get(shard_id, {}).get("leaseOwner", {}).get("S")
        return owner

    def handed_over(self, shard_id: str) -> bool:
        """Whether its owner was given it, and has not written to the row yet."""
        row = self._rows.get(shard_id, {})
        return bool(row and row.get("xr_clean") == row["leaseCounter"])

    def owned_for_s(self, shard_id: str) -> float:
        """How long the lease has had the owner that it has."""
        return self._now_s - self._owned_at_s.get(shard_id, self._now_s)

    def unfinished(self) -> list[str]:
        """The shards that somebody has to follow."""
        return [shard_id for shard_id in self._rows if not self._finished(shard_id)]

    def _finished(self, shard_id: str) -> bool:
        if shard_id in self._lost_shards and shard_id not in self._rows:
            return True
        if shard_id in self._deleted:
            return True
        return bool(self._rows.get(shard_id, {}).get("checkpoint", {}).get("S") == SHARD_END)

    def _note_owner(self, shard_id: str, before: dict[str, Any], row: Item) -> None:
        old = before.get("leaseOwner", {}).get("S")
        new = row.get("leaseOwner", {}).get("S")
        if new != old:
            self._owned_at_s[shard_id] = self._now_s
        handed_over = old is not None and new is not None and old != new and self.writer == old
        if old is not None and new != old:
            # One that is robbed may not know it for a proof's time; one that gives it away knows it before.
            robbed = new is not None and not handed_over
            self._left_at_s[old, shard_id] = self._now_s if robbed else float("-inf")
        if handed_over:
            clean = row.get("xr_clean") == row["leaseCounter"]
            self._counts["handed over" if clean else "handed over in doubt"] += 1
            if not clean:
                self._unclean_at_s[shard_id] = self._now_s
        elif old is not None and new is not None and old != new:
            self._counts["take-over"] += 1
            # Whom it was handed over to has sent nothing before the counter moved.
            if before.get("xr_clean") != before["leaseCounter"]:
                self._unclean_at_s[shard_id] = self._now_s
            self._check_take(shard_id, old, new)
        if before and old is None and new is not None and "xr_clean" in before:
            self._counts["clean hand-over"] += 1

    def _check_take(self, shard_id: str, old: str, new: str) -> None:
        if not self.prompt:
            return
        if not self.life.may_be_dead(old, shard_id, self._now_s):
            if not self.life.may_be_stolen_from(old, new, shard_id, self._now_s):
                self.fail(f"{new} takes {shard_id}, and {old} lives")
            self._counts["stolen"] += 1
            return
        if self.life.is_back(old, shard_id, self._now_s):
            self._counts["take from one that is back"] += 1
            return
        silent_s = self._now_s - self._sent_at_s.get((old, shard_id), float("-inf"))
        if silent_s < CUT_OFF_S:
            self.fail(f"{new} takes {shard_id} only {silent_s:.2f} s after {old} sent changes of it")

    def _check_checkpoint(self, shard_id: str, checkpoint: str) -> None:
        if checkpoint == SHARD_END and shard_id in self._stream.open_shards():
            self.fail(f"{shard_id} is finished and still open")
        position = float("inf") if checkpoint == SHARD_END else int(checkpoint)
        ahead = self._ahead[shard_id]
        passed = 0
        for change in ahead:
            if change.sequence > position:
                break
            passed += 1
            self._check_durable(change, checkpoint)
        del ahead[:passed]

    def _check_durable(self, change: Change, checkpoint: str) -> None:
        key = change.key
        if is_java(self.writer):
            # It waits for its own writes only. Whether all comes right is seen at rest.
            self._excused.add(key)
        if key in self._excused or change.made_at_s < self.copied_from_s:
            return
        for flight, write in self.flights.of(key):
            if self._place(write) >= change.place:
                continue
            if flight.overslept and not is_java(flight.worker) and self._lost(flight, write):
                # Its worker reconciles the item when it wakes up.
                self._excused.add(key)
                return
            self.fail(
                f"{change.shard_id} is at {checkpoint}, past change {change.sequence} of {key}; "
                f"image {self._place(write)} sent by {flight.worker} can still come over it"
            )
        if self.images.standing(key) < change.place and not self.parked.covers(key, change.sequence):
            self.fail(f"{change.shard_id} is at {checkpoint}, change {change.sequence} of {key} is not durable")
