"""A worker's share of the copy: it looks at the copy's row, and copies segments that nobody else does."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict

from dynamirror.copy.page import PageSender
from dynamirror.copy.phases import Phases
from dynamirror.copy.segment import SegmentCopier, SegmentLost
from dynamirror.copy.stray_life import StrayLife
from dynamirror.copy.tools import CopyTools
from dynamirror.errors import Retry
from dynamirror.model.backoff import Backoff
from dynamirror.model.copy import Copy, Phase, Segment
from dynamirror.model.copy_line import Standing
from dynamirror.model.copy_progress import Progress, progress
from dynamirror.model.duty import ClaimWatch

SAY_EVERY_S = 30.0
RETRY = Backoff(first_s=0.2, most_s=5.0)

log = logging.getLogger("dynamirror.copy")


class Copier:
    """One for each worker of a task that has a state table, whether it began the copy or not."""

    def __init__(self, tools: CopyTools, leases_made: Callable[[], bool]) -> None:
        """`leases_made`: every listed shard has its lease row."""
        self._tools = tools
        self._leases_made = leases_made
        self._phases = Phases(tools)
        self._sender = PageSender(tools)
        self._stray_life = StrayLife(tools)
        self._watch = ClaimWatch(tools.settings.silence_s)
        self._mine: dict[int, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()
        self._said: Progress | None = None
        self._copy_seen: Copy | None = None
        self._took_part = False

    def __repr__(self) -> str:
        return f"Copier({self._copy_seen}, segments={sorted(self._mine)})"

    @property
    def copy(self) -> Copy | None:
        """The task's copy, as it was last seen."""
        return self._copy_seen

    @property
    def doubtful(self) -> bool:
        """The copy went on while this worker ran, and only a comparison can tell whether the tables are equal."""
        return self._took_part and self._copy_seen is not None and self._copy_seen.needs_verify

    @property
    def segments(self) -> list[Segment]:
        """The copy's segments, as they were last seen; none before."""
        return self._phases.segments

    def standing(self) -> Standing | None:
        """How far the copy is; None: there is none, or its row has not been read yet."""
        copy = self._copy_seen
        if copy is None:
            return None
        return Standing(copy.phase, self.progress(), self._tools.items, at_rest=self._tools.leases is None)

    def progress(self) -> Progress:
        """How far the copy was when its segments were last read; all 0 before."""
        return progress(self._phases.segments, self._phases.read_at_s)

    async def run(self) -> None:
        """Until cancelled. Raises (in a group) Stop."""
        attempt = 0
        async with asyncio.TaskGroup() as group:
            while True:
                self._ended.clear()
                try:
                    await self._look(group)
                    attempt = 0
                except Retry as error:
                    self._tools.credentials.failed(error)
                    self._report(error)
                    await self._tools.clock.sleep(RETRY.delay_s(attempt, self._tools.random))
                    attempt += 1
                    continue
                await self._pause()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        busy, asked_at_s = frozenset(self._mine), self._tools.clock.boottime_s()
        copy = self._copy_seen = await self._phases.look(self._leases_made())
        self._took_part |= copy is not None and copy.phase is not Phase.OVER
        self._tools.credentials.answered()
        if copy is None or copy.phase is not Phase.COPYING or self._phases.read_at_s < asked_at_s:
            return
        if self._stray_life.fits(copy, self._phases.segments):
            await self._take_segments(copy, group, busy)

    async def _take_segments(self, copy: Copy, group: asyncio.TaskGroup, busy: frozenset[int]) -> None:
        """`busy`: what this worker copied when the rows were asked for: a row that it has written since is not among
        them. One that has ended wakes the next look at once."""
        segments = [segment for segment in self._phases.segments if segment.number not in busy]
        self._say(self.progress())
        free = self._tools.settings.copy.segments_at_once - len(self._mine)
        if free <= 0:
            return
        for segment in await self._free(segments):
            if free <= 0:
                return
            self._mine[segment.number] = group.create_task(self._copy(segment, copy.segments))
            free -= 1

    def _say(self, now: Progress) -> None:
        if self._said is not None and now.at_s - self._said.at_s < SAY_EVERY_S:
            return
        log.info(
            "%s",
            now.line(self._said, self._tools.items),
            extra={"event": "copy_progress", "facts": asdict(now)},
        )
        self._said = now

    async def _free(self, segments: list[Segment]) -> list[Segment]:
        """Those of them that nobody copies, each worker beginning at another place, so that few are refused."""
        clock = self._tools.clock
        open_ones = [segment for segment in segments if not segment.done]
        asked_at_s = clock.boottime_s()
        beats = await self._tools.state.beats()
        owners = {segment.owner for segment in open_ones if segment.owner is not None}
        self._watch.see({owner: beats.get(owner) for owner in owners}, asked_at_s, clock.boottime_s())
        free = [s for s in open_ones if s.owner in (None, self._tools.worker) or self._silent(s.owner)]
        start = int(self._tools.random() * len(free)) if free else 0
        return free[start:] + free[:start]

    def _silent(self, worker: str | None) -> bool:
        return worker is not None and self._watch.ended_at_s(worker) is not None

    async def _copy(self, segment: Segment, segments: int) -> None:
        try:
            await SegmentCopier(self._tools, self._sender, segment, segments).run()
        except SegmentLost as lost:
            log.info("%s", lost, extra={"event": "segment_lost", "facts": {"segment": segment.number}})
        finally:
            del self._mine[segment.number]
            self._ended.set()

    async def _pause(self) -> None:
        """Until the next look: sooner when a segment has ended."""
        timer = asyncio.ensure_future(self._tools.clock.sleep(self._tools.settings.copy.watch_s))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait([timer, ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            ended.cancel()

    def _report(self, error: Retry) -> None:
        log.warning("looking at the copy: %s; trying again", error, extra={"event": "copy_retry", "facts": {}})
