"""Which gaps a verify closes: those that were open before it began, if both tables were read whole, no item is left
that differs or was never seen in step, and no copy was going on (R-11, docs/decisions/0014).

    1 a page of the copy is read; 2 the item is changed, and the change is trimmed unread; 3 the verify mends the item;
    4 the page lands: the older image stays for ever (B-6)
"""

import logging
from collections.abc import Collection
from functools import partial

from dynamirror.engines.assemble_verify import VerifyParts
from dynamirror.engines.attempts import patiently
from dynamirror.model.verify import Tally

log = logging.getLogger("dynamirror.gaps")


class GapClosing:
    """Of one verify."""

    def __init__(self, parts: VerifyParts, *, whole: bool) -> None:
        self._clock = parts.clock
        self._patience = parts.patience
        self._state = parts.state if whole else None

    async def before(self) -> tuple[str, ...]:
        """Those that are open now, before anything is read; none while a copy is going on, or one of an earlier life of
        the task has left pages on their way (engines/begin_copy). Raises Stop."""
        state = self._state
        if state is None or self._patience.copying:
            return ()
        if await patiently(self._clock, "the row of a former copy", state.copies.former) is not None:
            return ()
        return tuple(gap.occasion for gap in await patiently(self._clock, "the gaps", state.gaps.gaps))

    async def close(self, occasions: Collection[str], tally: Tally) -> None:
        """Close them, if `tally` proves it; an item that was never seen in step is no proof of anything. Raises
        Stop."""
        if self._state is None or not occasions or tally.remaining or tally.unsettled:
            return
        rows = self._state.gaps
        for gap in await patiently(self._clock, "the gaps", rows.gaps):
            if gap.occasion in occasions and await patiently(
                self._clock, "closing a gap", partial(rows.close_gap, gap)
            ):
                log.info(
                    "gap closed: %s; both tables were compared whole since, and are equal",
                    gap,
                    extra={"event": "gap_closed", "facts": {"shard": gap.shard_id, "behind": gap.behind}},
                )
