"""Mutants of applying: durability, the order of one item, doubt."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from dynamirror.aws.tables import BatchWriter
from dynamirror.follow.apply import Applier
from dynamirror.follow.send import Pending, Sender
from dynamirror.follow.shard_task import ShardTask
from dynamirror.model.coalesce import coalesce
from dynamirror.model.watermark import Watermark
from tests.sim.mutants.base import LATE, PARTIAL, ROLLS, mutant

# --- checkpoint and durability


@mutant("the checkpoint passes only what is durable")
def checkpoint_before_durable() -> Iterator[None]:
    def advance(self: Watermark) -> str | None:
        while self._pages:
            self.checkpoint = self._pages.popleft().last_sequence
        return self.checkpoint

    with patch.object(Watermark, "advance", advance):
        yield


@mutant("SHARD_END is a checkpoint like any other (R-8)", ROLLS, hint=7)
def shard_end_too_early() -> Iterator[None]:
    async def settled(self: ShardTask) -> None:
        return None

    with patch.object(ShardTask, "_settled", settled):
        yield


@mutant("a superseded write hands its pages to the one that supersedes it", PARTIAL, hint=2)
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


@mutant("UnprocessedItems are sent again", PARTIAL, hint=1)
def unprocessed_items_forgotten() -> Iterator[None]:
    original = BatchWriter.write

    async def write(self: BatchWriter, writes: Any) -> Any:
        await original(self, writes)
        return ()

    with patch.object(BatchWriter, "write", write):
        yield


# --- order of one item


@mutant("one write in flight per key", PARTIAL, hint=2)
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


@mutant("a failed write gives way to a newer one", PARTIAL, hint=1)
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


@mutant("nothing is sent for an item in doubt (R-5)", LATE, hint=1)
def doubt_retried_at_once() -> Iterator[None]:
    with patch.object(Sender, "_attempt", _settling_after(0.0)):
        yield


@mutant("settling takes T + L, not T (inequality 6)", LATE, hint=1)
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


@mutant("the checkpoint stays below a doubtful change", LATE, hint=1)
def doubt_passed_by_the_checkpoint() -> Iterator[None]:
    original = Applier._answered

    def answered(self: Applier, batch: Any, outcome: Any) -> None:
        doubtful, outcome.doubtful = outcome.doubtful, []
        original(self, batch, outcome)
        del doubtful

    with patch.object(Applier, "_answered", answered):
        yield


@mutant("a page that could not be written is not dropped", PARTIAL, hint=1)
def failed_batch_counted_as_written() -> Iterator[None]:
    original = Sender._attempt

    async def attempt(self: Sender, batch: Any, sent_at_s: float) -> Any:
        outcome = await original(self, batch, sent_at_s)
        outcome.failed = []
        return outcome

    with patch.object(Sender, "_attempt", attempt):
        yield
