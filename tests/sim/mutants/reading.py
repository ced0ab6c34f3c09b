"""Mutants of reading: shards, their order, iterators."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.errors import IteratorExpired
from dynamirror.fleet.ancestry import Ancestry
from dynamirror.follow.read import ShardReader
from dynamirror.model.shard_graph import child_leases, missing_leases
from tests.sim.mutants.base import READS, ROLLS, mutant

HIDING = replace(ROLLS, hide=0.4, kill=0.1)


@mutant("a finished shard is final, children follow their parents", ROLLS)
def children_early() -> Iterator[None]:
    async def parents_finished(self: Ancestry, lease: Any, poll_s: float) -> bool:
        return False

    with patch.object(Ancestry, "parents_finished", parents_finished):
        yield


@mutant("children get rows", replace(ROLLS, kill=0.0, stop=0.0, start=0.0, freeze=0.0))
def second_child_never_followed() -> Iterator[None]:
    def orphans(*args: Any) -> Any:
        return [lease for lease in missing_leases(*args) if not lease.parent_ids]

    def first_child(parent: Any, shards: Any, now_ms: int) -> Any:
        return child_leases(parent, shards, now_ms)[:1]

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


@mutant("a listing that leaves out a young parent is not believed (P-17)", HIDING, hint=2)
def listing_gap_taken_as_truth() -> Iterator[None]:
    with (
        patch("dynamirror.fleet.shards.doubts_about", lambda *_: []),
        patch("dynamirror.fleet.shards.believable", lambda listing, *_: listing),
    ):
        yield
