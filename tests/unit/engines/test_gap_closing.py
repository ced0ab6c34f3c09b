"""Which gaps a verify may close."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dynamirror.engines.gap_closing import GapClosing
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.gap import OpenGap
from dynamirror.model.verify import Tally
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.gap_policies import MemoryGaps

GAP = OpenGap("shard", "5", "trimmed", 1, "w")


class Copies:
    """The row of an earlier life's copy, if it is there still."""

    def __init__(self, former: Copy | None) -> None:
        self._former = former

    async def former(self) -> Copy | None:
        return self._former


@pytest.mark.parametrize(
    "former, copying, whole, closes",
    [
        (None, False, True, True),
        (None, True, True, False),
        (None, False, False, False),
        # 1 the task goes on with another stream while its table is copied; 2 a page of that copy is on its way; 3 the
        # verify mends the item; 4 the page lands.
        (Copy(Phase.COPYING, 4, 5, was_empty=True), False, True, False),
    ],
)
def test_only_what_no_page_of_a_copy_may_land_over(
    former: Copy | None, copying: bool, whole: bool, closes: bool
) -> None:
    async def scenario() -> None:
        gaps = MemoryGaps()
        await gaps.open_gap(GAP)
        state = SimpleNamespace(gaps=gaps, copies=Copies(former))
        parts = SimpleNamespace(clock=VirtualClock(), patience=SimpleNamespace(copying=copying), state=state)
        closing = GapClosing(cast("Any", parts), whole=whole)
        await closing.close(await closing.before(), Tally())
        assert (not gaps.rows) is closes

    run_virtual(scenario())


@pytest.mark.parametrize(
    "tally, closes",
    [
        (Tally(missing=2, different=1, mended=3), True),
        (Tally(missing=2, mended=1), False),
        # Something still moves the item, and nobody has seen it right.
        (Tally(unsettled=1), False),
    ],
)
def test_only_if_nothing_is_left_that_differs_or_was_never_seen_in_step(tally: Tally, closes: bool) -> None:
    async def scenario() -> None:
        gaps = MemoryGaps()
        await gaps.open_gap(GAP)
        state = SimpleNamespace(gaps=gaps, copies=Copies(None))
        parts = SimpleNamespace(clock=VirtualClock(), patience=SimpleNamespace(copying=False), state=state)
        closing = GapClosing(cast("Any", parts), whole=True)
        await closing.close(await closing.before(), tally)
        assert (not gaps.rows) is closes

    run_virtual(scenario())
