"""Mutants of the copy and of the hold."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.copy.page import PageLife, PageOutcome
from dynamirror.copy.segment import SegmentCopier
from dynamirror.follow.hold import Hold
from dynamirror.model.copy import Copy, CopyKnowledge, Phase
from dynamirror.model.permit import NEVER
from dynamirror.settings.groups import CopySettings, HoldSettings
from tests.sim.mutants.base import COPY, HERE, ROWS, THERE, mutant
from tests.sim.profile import Fleet, Service

# Pages land late, or never, on items that change all the time.
LATE_PAGES = replace(COPY, turns=70, share=0.4, places=THERE, kinds={"late": 1}, roll=0.0, split=0.0, start=0.3)
LARGE = Fleet(copy=CopySettings(segments=4, segments_at_once=2, page_items_first=60, page_items_max=80))
SLOW_PAGES = replace(COPY, turns=90, share=0.0, meter=0.5, items=400, keys=400, fleet=LARGE, roll=0.0, split=0.0)
FROZEN_COPIERS = replace(
    SLOW_PAGES,
    turns=110,
    freeze=0.4,
    freezes_s=(70.0, 80.0),
    at_send=1.0,
    meter=0.0,
    start=0.6,
    share=0.3,
    places=HERE,
    kinds={"slow": 1},
    kill=0.0,
    stop=0.0,
)
# The least that the inequality allows.
TIGHT = HoldSettings(hold_s=46.1)
ONE_ITEM = CopySettings(segments=6, segments_at_once=3, page_items_first=1, page_items_max=1)
# Pages are sent as late as they may be, and land as late as they can, on items that change every second.
LATEST_PAGES = replace(
    COPY,
    turns=90,
    share=0.6,
    places=THERE,
    kinds={"late": 1},
    late_from=0.97,
    items=24,
    keys=24,
    load=(3, 10, 20),
    roll=0.0,
    split=0.0,
    kill=0.0,
    stop=0.0,
    freeze=0.0,
    fleet=Fleet(copy=ONE_ITEM, hold=TIGHT),
    service=Service(scan_takes_s=(8.0, 9.5)),
)
# Pages that cannot be sent for a while.
UNREACHED = replace(LATEST_PAGES, service=Service(), partition=0.3, partitions=("destination",))
# Of the batches of a page some are not written within its life.
PARTLY_WRITTEN = replace(
    COPY,
    share=0.8,
    places=THERE,
    kinds={"lost": 1, "throttle": 1},
    items=400,
    keys=400,
    roll=0.0,
    split=0.0,
    night=0.0,
    fleet=LARGE,
)


@mutant("changes wait while a copy runs (R-1)", LATEST_PAGES)
def nothing_is_held() -> Iterator[None]:
    with patch.object(CopyKnowledge, "holds", lambda *_: False):
        yield


@mutant("the hold covers D + T + L (A-4, inequality 1)", LATEST_PAGES)
def hold_without_the_life_of_strays() -> Iterator[None]:
    with patch.object(Hold, "_wait_s", lambda *_: 12.0):
        yield


@mutant("the hold goes on after the last segment (A-1, A-2)", replace(LATE_PAGES, share=0.6), hint=4)
def hold_ends_with_the_last_segment() -> Iterator[None]:
    original = Copy.moved

    def moved(self: Copy, phase: Phase) -> Copy:
        return original(self, Phase.OVER if phase is Phase.DONE else phase)

    with patch.object(Copy, "moved", moved):
        yield


@mutant("a belief that there is no copy lasts for X (A-3)", replace(LATE_PAGES, start=0.6), hint=3)
def belief_without_end() -> Iterator[None]:
    def learn(self: CopyKnowledge, copy: Any, asked_at_s: float, *_: float) -> None:
        self.copy = copy
        self._absent_at_s = asked_at_s if copy is None or self._absent_at_s != NEVER else NEVER

    def holds(self: CopyKnowledge, *_: float) -> bool:
        return self._absent_at_s == NEVER

    with patch.object(CopyKnowledge, "learn", learn), patch.object(CopyKnowledge, "holds", holds):
        yield


@mutant("no page is sent after its life", UNREACHED)
def pages_sent_whenever() -> Iterator[None]:
    with patch.object(PageLife, "left_s", 5.0):
        yield


@mutant("what is handed on is due (A-6)", LATEST_PAGES, hint=1)
def all_that_waits_handed_on_with_the_first() -> Iterator[None]:
    original = Hold.handed_on

    def handed_on(self: Hold) -> None:
        original(self)
        for held in self._held:
            held.due_at_s = NEVER

    with patch.object(Hold, "handed_on", handed_on):
        yield


@mutant("a segment passes only what is durable", PARTLY_WRITTEN, hint=2)
def page_passed_unwritten() -> Iterator[None]:
    with patch.object(PageOutcome, "prefix", property(lambda self: len(self.durable))):
        yield


@mutant("a segment goes on where it was", replace(COPY, places=ROWS, kinds={"applied": 1, "late": 1}, share=0.3))
def segment_row_believed_without_a_look() -> Iterator[None]:
    original = SegmentCopier._next

    def following(self: SegmentCopier, page: Any, outcome: PageOutcome) -> Any:
        wanted = original(self, page, outcome)
        # As if one more page had been copied.
        return replace(wanted, after=b"", done=True) if outcome.prefix and wanted.claim % 3 == 0 else wanted

    with patch.object(SegmentCopier, "_next", following):
        yield
