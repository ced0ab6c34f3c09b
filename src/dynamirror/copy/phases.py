"""The phases of a copy, moved on by whichever worker finds that it is time (R-1, R-2).

announced   X long, until nobody can still believe that there is no copy
copying     until every segment is done
done        H long: a page of a worker that lost its segment, or a write without an answer, may still land
over        nobody holds any more

Each step is one conditional write of the copy's row: of two workers that take it at once one is refused.
"""

import logging
from contextlib import suppress
from dataclasses import asdict

from dynamirror.copy.tools import CopyTools
from dynamirror.errors import ConditionFailed, LifeOver, Retry, Side, Stop
from dynamirror.model.copy import Copy, Phase, Segment
from dynamirror.model.copy_progress import named, progress, uneven
from dynamirror.model.lease import Lease
from dynamirror.model.permit import NEVER
from dynamirror.ports import LeaseStore
from dynamirror.state_ports import CopyStore

log = logging.getLogger("dynamirror.copy")


async def announced(store: CopyStore, leases: LeaseStore, wanted: Copy) -> Copy:
    """The task's copy: `wanted`, announced now, unless it has one. Idempotent.

    Raises Retry; Stop while a worker that would not hold has a lease.
    """
    strangers = _strangers(await leases.scan(consistent=True))
    if strangers:
        raise Stop(
            Side.STATE,
            f"a copy beside {strangers[0].owner}, which has the lease of {strangers[0].shard_id}, would not be sound: "
            "a Java worker, or one without rights to the state table, does not wait for the copy. Stop it first, or "
            "copy by other means and compare the tables then",
        )
    with suppress(ConditionFailed):
        await store.put_copy(wanted, None)
        _say(wanted)
    copy = await store.copy()
    if copy is None:
        raise Retry(Side.STATE, "the row of the copy was deleted as soon as it was written")
    return copy


class Phases:
    """One worker's view: since when, on its own clock, it has seen the copy in its phase."""

    def __init__(self, tools: CopyTools) -> None:
        self._tools = tools
        self._seen: Phase | None = None
        self._seen_at_s = NEVER
        # Of a copy that is going on, as they were last seen.
        self.segments: list[Segment] = []
        # On this worker's boot-time clock.
        self.read_at_s = NEVER

    async def look(self, leases_made: bool) -> Copy | None:
        """Read the copy's row, let the appliers know, and move it on if it is time. Raises Retry, Stop.

        `leases_made`: every listed shard has its lease row; before, nothing may be read (design: the copy begins after
        the stream does).
        """
        tools = self._tools
        asked_at_s, asked_wall_s = tools.clock.boottime_s(), tools.clock.wall_s()
        copy = await tools.store.copy()
        await prove_life(tools)
        tools.knowledge.learn(copy, asked_at_s, asked_wall_s)
        tools.learned.notify()
        if copy is None:
            return None
        now_s = tools.clock.boottime_s()
        if copy.phase is not self._seen:
            self._seen, self._seen_at_s = copy.phase, now_s
        moved = await self._next(copy, now_s - self._seen_at_s, leases_made)
        if moved is None:
            return copy
        try:
            await tools.store.put_copy(moved, copy)
        except ConditionFailed:
            return copy
        if moved.phase is not copy.phase:
            _say(moved)
        return moved

    async def _next(self, copy: Copy, seen_s: float, leases_made: bool) -> Copy | None:
        """The row that should follow; None: it stays."""
        tools, hold = self._tools, self._tools.settings.hold
        if tools.leases is not None and copy.phase is not Phase.OVER and not copy.needs_verify:
            strangers = _strangers(await tools.leases.scan())
            if strangers:
                return _doubted(copy, strangers[0])
        match copy.phase:
            case Phase.ANNOUNCED:
                # Its pages are read consistently, so nothing has to be added for what a reading is behind.
                if leases_made and seen_s > hold.known_s + tools.settings.write.clock_drift_s:
                    await self._read_segments(copy)
                    return copy.moved(Phase.COPYING)
            case Phase.COPYING:
                await self._read_segments(copy)
                if tools.leases is None and hold.hold_s > copy.held_s:
                    # Nobody waits by it, but `done` has to last as long as pages of this worker may take.
                    return copy.held_for(hold.hold_s)
                if all(segment.done for segment in self.segments):
                    counted_out = _summed_up(self.segments, tools.clock.boottime_s())
                    return copy.finished(int(tools.clock.wall_s() * 1000), counted_out)
            case Phase.DONE:
                if seen_s > max(hold.hold_s, copy.held_s) + tools.settings.write.clock_drift_s:
                    return copy.moved(Phase.OVER)
            case Phase.OVER:
                pass
        return None

    async def _read_segments(self, copy: Copy) -> None:
        """All of the copy. Rows that are missing, at the beginning or because somebody removed them, are made; those
        that were made before an error need not be again."""
        rows = await self._tools.store.segments()
        missing = [Segment(number) for number in sorted({*range(copy.segments)} - {row.number for row in rows})]
        for segment in missing:
            await self._tools.store.make_segment(segment)
        self.segments, self.read_at_s = rows + missing, self._tools.clock.boottime_s()


async def prove_life(tools: CopyTools) -> None:
    """Raises LifeOver when this worker's life of the task is over.

    1 this worker is frozen; 2 the lease table is deleted, the task begun anew, and its copy announced; 3 this worker
    wakes: among the rows of its own life there is no copy, and it would not wait. The pair's row moves into the new
    life before that copy is announced, so whoever finds it in its own has missed nothing.
    """
    # At rest the pair's row stands in another life, or none.
    if tools.leases is not None and not await tools.store.life_is_mine():
        raise LifeOver(
            Side.STATE,
            "the task was begun anew since this worker started (another lease table or stream); start this worker "
            "again, it joins what goes on now",
        )


def _strangers(rows: list[Lease]) -> list[Lease]:
    """Leases of owners that know nothing of the copy: Java workers, and those without a state table."""
    owned = [row for row in rows if row.owner is not None and not row.finished]
    return [row for row in owned if row.terms_in_force is None or not row.terms_in_force.heartbeat]


def _doubted(copy: Copy, stranger: Lease) -> Copy:
    log.error(
        "%s has the lease of %s and does not wait for the copy: compare the tables once the copy is over",
        stranger.owner,
        stranger.shard_id,
        extra={"event": "copy_unsound", "facts": {"owner": stranger.owner, "shard": stranger.shard_id}},
    )
    return copy.doubted()


def _summed_up(segments: list[Segment], at_s: float) -> bool:
    """Say the sums; whether what was counted in was counted out, in each segment."""
    end, wrong = progress(segments, at_s), uneven(segments)
    extra = {"event": "copy_sum", "facts": asdict(end) | {"uneven": len(wrong)}}
    if wrong:
        log.error(
            "the copy's counts do not add up in %s: read %d, written %d + parked %d in all; compare the tables",
            named(wrong),
            *end.counts,
            extra=extra,
        )
    else:
        log.info("all segments are done: read %d = written %d + parked %d", *end.counts, extra=extra)
    return not wrong


def _say(copy: Copy) -> None:
    log.info("the copy is %s", copy.phase.value, extra={"event": "copy_phase", "facts": {"phase": copy.phase.value}})
