"""Mutants of what a copy counts, and of what is remembered beside it."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.copy.page import PageOutcome
from dynamirror.copy.segment import SegmentCopier
from dynamirror.follow.hold import Held, Hold
from dynamirror.follow.shard_task import ShardTask
from dynamirror.model.change import Page
from dynamirror.model.copy import Segment
from dynamirror.settings.groups import CopySettings, HoldSettings
from tests.sim.mutants.base import COPY, mutant
from tests.sim.mutants.copying import PARTLY_WRITTEN
from tests.sim.profile import Fleet

SMALL_COPY = CopySettings(segments=5, segments_at_once=1, page_items_first=2, page_items_max=4)
DROPPED = replace(
    COPY,
    turns=300,
    turn_s=0.4,
    share=0.02,
    roll=0.0,
    split=0.0,
    kill=0.0,
    stop=0.0,
    freeze=0.0,
    partition=0.0,
    night=0.0,
    workers_max=3,
    start=0.6,
    load=(3, 10, 20),
    fleet=Fleet(copy=SMALL_COPY, hold=HoldSettings(bytes_max=3000)),
)


@mutant("what is dropped is read again", DROPPED)
def dropped_for_ever() -> Iterator[None]:
    async def pages_of(self: ShardTask, held: Held) -> AsyncGenerator[Page, None]:
        if held.page is not None:
            yield held.page

    with patch.object(ShardTask, "_pages_of", pages_of):
        yield


@mutant("what waits is kept up to a budget", DROPPED)
def everything_kept() -> Iterator[None]:
    original = Hold.keep

    def keep(self: Hold, page: Page, droppable: bool = True) -> None:
        original(self, page, False)

    with patch.object(Hold, "keep", keep):
        yield


@mutant("dropped pages that are due together are remembered as one", DROPPED)
def each_place_remembered() -> Iterator[None]:
    with patch.object(Hold, "_joins", lambda *_: False):
        yield


@mutant("what waited is given back to the budget", DROPPED)
def budget_used_up() -> Iterator[None]:
    with patch.object(Hold, "_give_back", lambda *_: None):
        yield


@mutant("an item is counted as read when the segment passes it", PARTLY_WRITTEN, hint=2)
def counted_with_each_reading() -> Iterator[None]:
    original = SegmentCopier._next

    def following(self: SegmentCopier, page: Any, outcome: PageOutcome) -> Segment:
        wanted = original(self, page, outcome)
        return replace(wanted, read=wanted.read + len(page.items) - outcome.prefix)

    with patch.object(SegmentCopier, "_next", following):
        yield
