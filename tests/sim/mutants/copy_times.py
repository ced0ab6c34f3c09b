"""Mutants of the times of the copy: one for each inequality, and for each instant from which a time is measured."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.copy.page import PageLife, PageSender
from dynamirror.copy.phases import Phases
from dynamirror.copy.tools import CopyTools
from dynamirror.engines.attempts import patiently
from dynamirror.follow.hold import Hold
from dynamirror.model.change import Page
from dynamirror.model.copy import Copy, CopyKnowledge, Phase
from tests.sim.flights import PAGE_SENT
from tests.sim.long_copy import OLD_CHANGES
from tests.sim.mutants.base import mutant
from tests.sim.mutants.copying import FROZEN_COPIERS, LARGE, LATEST_PAGES, ONE_ITEM, TIGHT
from tests.sim.profile import Fleet, Service

BY_THE_MINUTE = replace(LATEST_PAGES, service=Service(rounding_s=60))
WRONG_DATES = replace(LATEST_PAGES, service=Service(), date_off_s=3600.0)
# Some workers do not hear of the copy for a while.
UNHEARD = replace(
    LATEST_PAGES, service=Service(), partition=0.6, partitions=("copy",), start=0.6, turns=50, items=60, keys=60
)
# Workers do not agree for how long a request may be on its way.
STRAYS = replace(LATEST_PAGES, fleet=Fleet(copy=ONE_ITEM, strays_s=(10.0, 30.0)), start=0.3)
# Frozen when a page leaves, until what was changed since is written.
FROZEN_PAGES = replace(
    FROZEN_COPIERS,
    keys=200,
    items=200,
    load=(0, 2, 10),
    turns=160,
    freeze=0.05,
    freezes_s=(80.0, 100.0),
    sends=(PAGE_SENT,),
    night=0.0,
    fleet=replace(LARGE, hold=TIGHT),
)


def _hold_shorter_by(seconds: float) -> Any:
    original: Callable[[Hold, Page], float] = Hold._wait_s
    return patch.object(Hold, "_wait_s", lambda self, page: original(self, page) - seconds)


@mutant("the hold covers D, the life of a page (inequality 1)", LATEST_PAGES)
def hold_without_the_life_of_a_page() -> Iterator[None]:
    with _hold_shorter_by(10.0):
        yield


@mutant("the hold covers T, the time-out of an attempt (inequality 1)", LATEST_PAGES)
def hold_without_the_time_out() -> Iterator[None]:
    with _hold_shorter_by(5.0):
        yield


@mutant("changes wait for pages of workers with a longer stray life", STRAYS, hint=20)
def own_hold_only() -> Iterator[None]:
    with patch.object(CopyKnowledge, "hold_s", lambda _, own_s: own_s):
        yield


@mutant("a worker whose pages land too late for the hold of the others copies nothing", STRAYS)
def copied_whatever_the_others_wait() -> Iterator[None]:
    with patch("dynamirror.copy.stray_life.least_hold_s", lambda *_: 0.0):
        yield


@mutant("a change waits from its receipt, unless it is older than H + A (inequality 7)", BY_THE_MINUTE)
def age_without_its_margin() -> Iterator[None]:
    def wait_s(self: Hold, page: Page) -> float:
        hold_s = self._tools.settings.hold_s
        newest_s = max(record.change.created_s for record in page.records)
        return min(hold_s, newest_s + hold_s - page.served_s)

    with patch.object(Hold, "_wait_s", wait_s):
        yield


@mutant("how old a change is, the service's clock says (R-3)", WRONG_DATES)
def age_by_the_local_clock() -> Iterator[None]:
    original = Hold._wait_s

    def wait_s(self: Hold, page: Page) -> float:
        page.served_s = self._clock.wall_s()
        return original(self, page)

    with patch.object(Hold, "_wait_s", wait_s):
        yield


@mutant("the first page is read X after the announcement (inequality 3)", UNHEARD, hint=47)
def copying_as_soon_as_announced() -> Iterator[None]:
    original = Phases._next

    async def following(self: Phases, copy: Copy, seen_s: float, leases_made: bool) -> Copy | None:
        return await original(self, copy, 1e9 if copy.phase is Phase.ANNOUNCED else seen_s, leases_made)

    with patch.object(Phases, "_next", following):
        yield


# --- the life of a page


@mutant("a page's life begins before it is read, not when it is there", LATEST_PAGES, hint=22)
def life_from_the_answer() -> Iterator[None]:
    original = PageSender.send

    async def send(self: PageSender, page: Any, life: PageLife) -> Any:
        settings = self._tools.settings.copy
        fresh = PageLife(self._tools.clock.boottime_s, self._tools.clock.wall_s, settings.page_life_s)
        return await original(self, page, fresh)

    with patch.object(PageSender, "send", send):
        yield


@mutant("what of a page left late is reconciled (A-8)", FROZEN_PAGES, hint=2)
def late_page_forgotten() -> Iterator[None]:
    made, original = PageSender.__init__, PageSender.send

    def deaf(self: PageSender, tools: CopyTools) -> None:
        made(self, replace(tools, note_late=lambda writes: None))

    async def send(self: PageSender, page: Any, life: PageLife) -> Any:
        outcome = await original(self, page, life)
        outcome.late = []
        return outcome

    with patch.object(PageSender, "__init__", deaf), patch.object(PageSender, "send", send):
        yield


# --- what need not be read


@mutant("what is skipped was made well before the copy began (inequality 7)", OLD_CHANGES)
def skipped_past_the_beginning() -> Iterator[None]:
    with patch("dynamirror.engines.begin_copy.SLACK_MS", -10 * 60 * 1000):
        yield


@mutant(
    "when the copy began, the service's clock says (R-12)",
    replace(OLD_CHANGES, seeded=0.0, date_off_s=4 * 3600.0),
    hint=3,
)
def beginning_by_the_local_clock() -> Iterator[None]:
    async def unless_of_the_source(clock: Any, what: object, call: Any) -> Any:
        return None if what == "the first item of source" else await patiently(clock, what, call)

    with patch("dynamirror.engines.begin_copy.patiently", unless_of_the_source):
        yield


@mutant("into a destination with items everything is written (E-1)", OLD_CHANGES, hint=1)
def skipped_over_items() -> Iterator[None]:
    def announced(phase: Phase, segments: int, began_ms: int, _: bool, **more: Any) -> Copy:
        return Copy(phase, segments, began_ms, True, **more)

    with patch("dynamirror.engines.begin_copy.Copy", announced):
        yield
