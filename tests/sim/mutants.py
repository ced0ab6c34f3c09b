"""Production code broken on purpose, one promise at a time: the checks must find each of them.

A mutant patches what it names while it is entered. Its profile makes what it breaks likely.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from dynamirror.aws.lease_rows import update_request
from dynamirror.aws.tables import BatchWriter
from dynamirror.errors import IteratorExpired, LeaseLost, Retry, Side
from dynamirror.fleet.leases import HeldLease
from dynamirror.fleet.tenure import Tenure
from dynamirror.follow.apply import Applier
from dynamirror.follow.read import ShardReader
from dynamirror.follow.send import Pending, Sender
from dynamirror.follow.settling import Aftermath
from dynamirror.follow.shard_task import ShardTask
from dynamirror.model.coalesce import coalesce
from dynamirror.model.lease_plan import Watch
from dynamirror.model.permit import Fence
from dynamirror.model.shard_graph import child_leases, missing_leases
from dynamirror.model.watermark import Watermark
from tests.sim.profile import Profile

_ONE = (1.0,)
_THERE = frozenset({Side.DESTINATION})
_QUIET = Profile(turns=40, share_factors=_ONE, roll=0.02, split=0.0, kill=0.0, stop=0.0, freeze=0.0, partition=0.0)
BUSY = Profile(turns=40, share=0.25, share_factors=_ONE, partition=0.02)
LATE = replace(_QUIET, share=0.3, sides=_THERE, kinds={"late": 1}, keys=5)
PARTIAL = replace(_QUIET, share=0.5, sides=_THERE, kinds={"partial": 1, "throttle": 1}, keys=5)
CRASHES = replace(LATE, kill=0.15, start=0.4)
STOPS = replace(LATE, stop=0.15, start=0.4)
FROZEN = replace(BUSY, freeze=0.25, kill=0.0, share=0.1, partition=0.1, start=0.4)
LATE_SENDS = replace(_QUIET, freeze=0.06, freezes_s=(50.0, 60.0), at_send=1.0, share=0.0, start=0.6, keys=400, turns=90)
ROLLS = replace(BUSY, roll=0.4, split=0.1, share=0.15)
READS = replace(_QUIET, share=0.3, sides=frozenset({Side.SOURCE}), kinds={"iterator": 1}, kill=0.02)
STATE = replace(_QUIET, share=0.3, sides=frozenset({Side.STATE}), roll=0.2, kill=0.05, stop=0.05)


@dataclass(frozen=True, slots=True)
class Mutant:
    """`promise`: what it breaks. `enter`: a context manager that patches the code."""

    name: str
    promise: str
    enter: Callable[[], Any]
    profile: Profile = BUSY


MUTANTS: list[Mutant] = []


def mutant(promise: str, profile: Profile = BUSY) -> Callable[[Callable[[], Iterator[None]]], None]:
    """Put a generator function, its name the mutant's, into the list."""

    def enlist(patching: Callable[[], Iterator[None]]) -> None:
        name = patching.__name__.replace("_", " ")
        MUTANTS.append(Mutant(name, promise, contextmanager(patching), profile))

    return enlist


# --- checkpoint and durability


@mutant("the checkpoint passes only what is durable")
def checkpoint_before_durable() -> Iterator[None]:
    def advance(self: Watermark) -> str | None:
        while self._pages:
            self.checkpoint = self._pages.popleft().last_sequence
        return self.checkpoint

    with patch.object(Watermark, "advance", advance):
        yield


@mutant("SHARD_END is a checkpoint like any other (R-8)", ROLLS)
def shard_end_too_early() -> Iterator[None]:
    async def settled(self: ShardTask) -> None:
        return None

    with patch.object(ShardTask, "_settled", settled):
        yield


@mutant("a superseded write hands its pages to the one that supersedes it", PARTIAL)
def pages_of_a_failed_write_are_forgotten() -> Iterator[None]:
    original = Applier._land

    def land(self: Applier, unwritten: list[Pending]) -> None:
        for pending in unwritten:
            if pending.write.key in self._waiting:
                for mark in pending.marks:
                    mark.outstanding -= 1
                pending.marks = []
        original(self, unwritten)

    with patch.object(Applier, "_land", land):
        yield


@mutant("UnprocessedItems are sent again", PARTIAL)
def unprocessed_items_forgotten() -> Iterator[None]:
    original = BatchWriter.write

    async def write(self: BatchWriter, writes: Any) -> Any:
        await original(self, writes)
        return ()

    with patch.object(BatchWriter, "write", write):
        yield


# --- order of one item


@mutant("one write in flight per key", PARTIAL)
def newer_write_beside_a_retry() -> Iterator[None]:
    original = Applier.submit

    def submit(self: Applier, writes: Any, mark: Any) -> None:
        for write in writes:
            if write.key in self._flying and write.key not in self._waiting:
                self._ready.append(write.key)
        original(self, writes, mark)

    def durable(self: Applier, pending: Pending) -> None:
        if self._flying.get(pending.write.key) is pending:
            del self._flying[pending.write.key]
        self._bytes -= len(pending.write.request)
        for mark in pending.marks:
            mark.outstanding -= 1

    def land(self: Applier, unwritten: list[Pending]) -> None:
        for pending in unwritten:
            self._flying.setdefault(pending.write.key, pending)
        original_land(self, unwritten)

    original_land = Applier._land
    with (
        patch.object(Applier, "submit", submit),
        patch.object(Applier, "_durable", durable),
        patch.object(Applier, "_land", land),
    ):
        yield


@mutant("a failed write gives way to a newer one", PARTIAL)
def retry_of_the_older_image() -> Iterator[None]:
    original = Applier._land

    def land(self: Applier, unwritten: list[Pending]) -> None:
        for pending in unwritten:
            newer = self._waiting.get(pending.write.key)
            if newer is not None:
                newer.write = pending.write
        original(self, unwritten)

    with patch.object(Applier, "_land", land):
        yield


@mutant("of a page only the last change of a key is written")
def first_change_of_a_page_wins() -> Iterator[None]:
    def reversed_coalesce(records: Any, key_of: Any) -> Any:
        return coalesce(list(reversed(records)), key_of)

    with patch("dynamirror.follow.shard_task.coalesce", reversed_coalesce):
        yield


# --- doubt


@mutant("nothing is sent for an item in doubt (R-5)", LATE)
def doubt_retried_at_once() -> Iterator[None]:
    with patch.object(Sender, "_attempt", _settling_after(0.0)):
        yield


@mutant("settling takes T + L, not T (inequality 6)", LATE)
def settling_for_t_only() -> Iterator[None]:
    with patch.object(Sender, "_attempt", _settling_after(5.0)):
        yield


def _settling_after(wait_s: float) -> Callable[..., Any]:
    original = Sender._attempt

    async def attempt(self: Sender, batch: Any, sent_at_s: float) -> Any:
        outcome = await original(self, batch, sent_at_s)
        outcome.settled_at_s = sent_at_s + wait_s
        return outcome

    return attempt


@mutant("the checkpoint stays below a doubtful change", LATE)
def doubt_passed_by_the_checkpoint() -> Iterator[None]:
    original = Applier._answered

    def answered(self: Applier, batch: Any, outcome: Any) -> None:
        doubtful, outcome.doubtful = outcome.doubtful, []
        original(self, batch, outcome)
        del doubtful

    with patch.object(Applier, "_answered", answered):
        yield


# --- taking over


@mutant("an unclean start sends twice (R-6)", CRASHES)
def unclean_start_taken_as_clean() -> Iterator[None]:
    with patch.object(Tenure, "_aftermath", lambda self: None):
        yield


@mutant("the second sending is sent", CRASHES)
def second_sending_left_out() -> Iterator[None]:
    original = Aftermath.forget

    def forget(self: Aftermath) -> Any:
        original(self)
        return []

    with patch.object(Aftermath, "forget", forget):
        yield


@mutant("the second sending is that of the newest image", CRASHES)
def second_sending_of_the_first_image() -> Iterator[None]:
    def remember(self: Aftermath, writes: Any) -> None:
        for write in writes:
            if self._newest.setdefault(write.key, write) is write:
                self._budget.used += len(write.request)

    with patch.object(Aftermath, "remember", remember):
        yield


@mutant("after a take the wait is T + L", CRASHES)
def unclean_start_settled_too_soon() -> Iterator[None]:
    original = Tenure._ends_at_s.fget  # type: ignore[attr-defined]

    def ends_at_s(self: Tenure) -> float:
        return float(original(self)) - 30.0

    with patch.object(Tenure, "_ends_at_s", property(ends_at_s)):
        yield


@mutant("the checkpoint waits for the second sending", replace(CRASHES, kill=0.3))
def checkpoint_during_an_unclean_start() -> Iterator[None]:
    original = ShardTask.__init__

    def init(self: ShardTask, *args: Any) -> None:
        original(self, *args)
        if self._barrier is not None:
            self.watermark._pages.clear()

    with patch.object(ShardTask, "__init__", init):
        yield


@mutant("a clean mark is one (R-7)", STOPS)
def released_with_a_doubt_outstanding() -> Iterator[None]:
    with patch.object(Tenure, "settled", True):
        yield


# --- leases


@mutant("no send without a permit (P-9, P-10)", FROZEN)
def no_send_cut_off() -> Iterator[None]:
    with patch.object(Fence, "until_s", lambda *_, **__: float("inf")):
        yield


@mutant("the permit is renewed by a proof", FROZEN)
def a_proof_that_does_not_look() -> Iterator[None]:
    async def prove(self: HeldLease) -> None:
        self.permit.until_s = self._clock.boottime_s() + 1.0

    with patch.object(HeldLease, "prove", prove):
        yield


@mutant("a lost lease's writes are dropped (P-25)", FROZEN)
def lost_lease_goes_on() -> Iterator[None]:
    def lose(self: HeldLease) -> LeaseLost:
        return LeaseLost("lost")

    async def prove(self: HeldLease) -> None:
        self.permit.until_s = self._clock.boottime_s() + 1.0

    with (
        patch.object(HeldLease, "_lose", lose),
        patch.object(HeldLease, "prove", prove),
        patch.object(Tenure, "_abandon", lambda self: None),
        patch.object(Tenure, "lose", lambda self: None),
    ):
        yield


@mutant("a late send of a lost lease is reconciled (A-8)", LATE_SENDS)
def late_send_forgotten() -> Iterator[None]:
    with patch.object(Sender, "_note_late", lambda *_: None):
        yield


@mutant("every write of a row is conditional", replace(FROZEN, share=0.3))
def take_without_condition() -> Iterator[None]:
    def unconditional(update: Any) -> Any:
        request = dict(update_request(update))
        request["ConditionExpression"] = "attribute_exists(#leaseCounter)"
        values = {name: value for name, value in request["ExpressionAttributeValues"].items() if "seen_" not in name}
        request["ExpressionAttributeValues"] = {
            name: value for name, value in values.items() if not name.startswith(":not_")
        }
        return {**request, "ExpressionAttributeNames": _used(request)}

    with patch("dynamirror.aws.lease_table.update_request", unconditional):
        yield


def _used(request: dict[str, Any]) -> dict[str, str]:
    text = request["UpdateExpression"] + request["ConditionExpression"]
    return {name: full for name, full in request["ExpressionAttributeNames"].items() if name in text.replace(",", " ")}


@mutant("an owner is given its whole time", replace(FROZEN, freeze=0.0, share=0.2, partition=0.0))
def dead_owner_judged_too_early() -> Iterator[None]:
    with (
        patch("dynamirror.fleet.coordinator.expired", lambda *_: True),
        patch.object(Watch, "still_s", lambda *_: 1e9),
    ):
        yield


@mutant("a finished shard is final, children follow their parents", ROLLS)
def children_early() -> Iterator[None]:
    async def parents_finished(self: Tenure, lease: Any) -> bool:
        return False

    with patch.object(Tenure, "_parents_finished", parents_finished):
        yield


@mutant("children get rows", replace(ROLLS, kill=0.0, stop=0.0, start=0.0, freeze=0.0))
def second_child_never_followed() -> Iterator[None]:
    def orphans(*args: Any) -> Any:
        return [lease for lease in missing_leases(*args) if not lease.parent_ids]

    def first_child(parent: Any, shards: Any) -> Any:
        return child_leases(parent, shards)[:1]

    with (
        patch("dynamirror.fleet.shards.missing_leases", orphans),
        patch("dynamirror.fleet.shards.child_leases", first_child),
    ):
        yield


# --- reading


@mutant("an expired iterator goes on right after the last record read", READS)
def iterator_opened_one_record_too_far() -> Iterator[None]:
    original = ShardReader._open

    async def opened(self: ShardReader) -> str:
        iterator = await original(self)
        shard_id, position, made = iterator.split("|")
        return f"{shard_id}|{int(position) + 1}|{made}" if self._position.isdecimal() else iterator

    with patch.object(ShardReader, "_open", opened):
        yield


@mutant("an iterator that expired is opened where it was", READS)
def expired_iterator_opened_at_the_end() -> Iterator[None]:
    original = ShardReader._read

    async def read(self: ShardReader) -> Any:
        try:
            return await original(self)
        except IteratorExpired:
            self._position = "LATEST"
            raise

    with patch.object(ShardReader, "_read", read):
        yield


@mutant("only a null iterator ends a shard (P-21)", replace(ROLLS, empty=0.5, share=0.02))
def empty_page_of_a_closed_shard_taken_as_its_end() -> Iterator[None]:
    original = ShardReader._read

    async def read(self: ShardReader) -> Any:
        page = await original(self)
        if self.closed and not page.records:
            page.next_iterator = None
        return page

    with patch.object(ShardReader, "_read", read):
        yield


@mutant("a page that could not be written is not dropped", PARTIAL)
def failed_batch_counted_as_written() -> Iterator[None]:
    original = Sender._attempt

    async def attempt(self: Sender, batch: Any, sent_at_s: float) -> Any:
        outcome = await original(self, batch, sent_at_s)
        outcome.failed = []
        return outcome

    with patch.object(Sender, "_attempt", attempt):
        yield


# --- start, stop


@mutant("a stop drains before it releases", STOPS)
def release_before_drain() -> Iterator[None]:
    async def finish(self: Tenure) -> None:
        if self._shard is not None:
            self._shard.watermark._pages.clear()

    with patch.object(Tenure, "finish", finish):
        yield


@mutant("a worker that fails to save says so and tries again", STATE)
def shard_end_saved_once_and_never_again() -> Iterator[None]:
    async def until_saved(self: ShardTask, save: Callable[[], Any]) -> None:
        try:
            await save()
        except Retry:
            return

    with patch.object(ShardTask, "_until_saved", until_saved):
        yield
