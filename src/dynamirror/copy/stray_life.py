"""Whether what this worker copies has landed before anybody stops waiting for it, by the copy's row.

1 a worker with a short stray life announces the copy, and others hold for as long as it takes; 2 this one, with a
longer one, reads a page; 3 an item of it changes, and its change is sent after their hold; 4 the page lands.
"""

import logging
from collections.abc import Sequence

from dynamirror.copy.tools import CopyTools
from dynamirror.model.copy import Copy, Segment
from dynamirror.model.permit import NEVER
from dynamirror.settings.bounds import least_hold_s

# Said again after so long in which nobody has copied anything.
SAY_AGAIN_S = 600.0

log = logging.getLogger("dynamirror.copy")


class StrayLife:
    """One worker's answer, and the line that says why it copies nothing."""

    def __init__(self, tools: CopyTools) -> None:
        self._tools = tools
        # Of all segments, and when this, or the line, came last.
        self._claims = 0
        self._quiet_since_s = NEVER

    def fits(self, copy: Copy, segments: Sequence[Segment]) -> bool:
        """Whether this worker may copy; `segments` as they were last seen."""
        settings = self._tools.settings
        if self._tools.leases is None:
            return copy.held_s >= settings.hold.hold_s
        if not copy.hold_s:
            # A row of before they could differ: it was told to all workers alike.
            return True
        more_s = least_hold_s(settings.copy, settings.write) - copy.held_s
        if more_s >= 0 and self._is_time(sum(segment.claim for segment in segments)):
            self._say(copy, settings.write.stray_life_s, more_s)
        return more_s < 0

    def _is_time(self, claims: int) -> bool:
        now_s = self._tools.clock.boottime_s()
        first = self._quiet_since_s == NEVER
        if not first and claims == self._claims and now_s - self._quiet_since_s < SAY_AGAIN_S:
            return False
        # Claims that moved: somebody copies.
        say = first or claims == self._claims
        self._claims, self._quiet_since_s = claims, now_s
        return say

    def _say(self, copy: Copy, stray_life_s: float, more_s: float) -> None:
        log.warning(
            "worker %s copies nothing, and follows only: the copy was announced%s with changes waiting %g s, too short "
            "for its --stray-life of %g s. Start it again with less than %g s to have it copy (workers of a task "
            "should have the same)",
            self._tools.worker,
            f" by {copy.announced_by}" if copy.announced_by else "",
            copy.held_s,
            stray_life_s,
            max(0.0, stray_life_s - more_s),
            extra={
                "event": "copy_stray_life",
                "facts": {"hold_s": copy.held_s, "announced_by": copy.announced_by},
            },
        )
