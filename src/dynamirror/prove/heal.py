"""One look at some items (R-10, steps 3 to 6): read both sides, write what differs, read the source again.

    3 read the destination, then the source, both consistently
    4 equal: done
    5 write the source's state on the condition that the destination is as read
      refused: from 3 again; unanswered: wait until it can no longer land, then from 3 again
    6 read the source once more; changed: from 3 again; else done

Why the source is read again (B-2's first half): 1 destination A, source B are read; 2 the source goes back to A, and A
is applied; 3 "put B if A" is written. The condition holds, since values repeat (absent does by nature). Step 6 sees A.

Why the destination is read first (B-4), with the reads the other way round: 1 source v1 is read; 2 v2 is written there,
and applied; 3 destination v2 is read, differs, and "put v1 if v2" holds without any value having repeated. A crash
before step 6 leaves the older image, for ever where the duty is not durable. Read first, the destination can only be
older than the source that is compared with it, and a newer image that is applied meanwhile fails the condition.

Why an unanswered write waits (B-1): 1 "put B if A" gets no answer; 2 source and destination are A again, equal, done;
3 the request lands, its condition holds, and B stands there for ever.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from enum import Enum, auto

from dynamirror.errors import AccessDenied, ConditionFailed, ItemRefused, Retry, Unanswered
from dynamirror.model.as_read import as_read
from dynamirror.model.diff import Item, first_difference
from dynamirror.model.key import Key
from dynamirror.model.reading_size import ReadingSize
from dynamirror.ports import ItemsRead
from dynamirror.prove.cases import Case
from dynamirror.prove.tools import ReconcileTools

# Keys of one look: what BatchGetItem takes.
CASES_AT_ONCE_MAX = 100
# Conditional writes under way at the same time.
WRITES_AT_ONCE_MAX = 16
LOG_EVERY_S = 10.0
REFUSED_AGAIN_S = 600.0

log = logging.getLogger("dynamirror.reconcile")


class Result(Enum):
    """What became of a case in one look."""

    SETTLED = auto()
    # Something passing was in the way.
    AGAIN = auto()
    # Something moved meanwhile: to be looked at again at once.
    MOVED = auto()
    # A write that may still land; the case is put off.
    DOUBT = auto()
    REFUSED = auto()
    # Another worker has taken the duty.
    LOST = auto()


class Healer:
    """Looks at items; remembers nothing of them but how many come through."""

    def __init__(self, tools: ReconcileTools) -> None:
        self._tools = tools
        self._size = ReadingSize(CASES_AT_ONCE_MAX)
        self._writing = asyncio.Semaphore(WRITES_AT_ONCE_MAX)
        self._logged_at_s = float("-inf")

    @property
    def cases_max(self) -> int:
        """How many to look at next."""
        return self._size.present

    async def look(self, cases: Sequence[Case]) -> dict[Case, Result]:
        """One look at each case, at most `cases_max`. Raises (in a group) Stop, but not for missing rights."""
        try:
            there, here = await self._read(cases)
        except Retry as error:
            self._report("reading items on both sides", error, len(cases))
            return dict.fromkeys(cases, Result.AGAIN)
        except AccessDenied as error:
            return dict.fromkeys(cases, _denied(error, cases))
        unread = {*there.unprocessed, *here.unprocessed}
        results = {}
        mending: dict[Case, asyncio.Task[Result]] = {}
        async with asyncio.TaskGroup() as group:
            for case in cases:
                key = case.key.key
                seen, wanted = there.items.get(key), here.items.get(key)
                if key in unread:
                    results[case] = Result.AGAIN
                elif same(seen, wanted):
                    results[case] = Result.SETTLED
                else:
                    mending[case] = group.create_task(self._mend(case, seen, wanted))
        results |= {case: task.result() for case, task in mending.items()}
        mended = [case for case in mending if results[case] is Result.SETTLED]
        return results | await self._confirmed(mended, here.items)

    async def _read(self, cases: Sequence[Case]) -> tuple[ItemsRead, ItemsRead]:
        """Step 3. An answer that is full leaves keys unprocessed on either side; they are read another time."""
        with self._size.reading(len(cases)):
            there = await self._tools.destination.read([case.key for case in cases])
            left = [case.key for case in cases if case.key.key not in there.unprocessed]
            here = await self._tools.source.read(left) if left else ItemsRead({})
        self._size.succeeded(len(cases))
        return there, here

    async def _mend(self, case: Case, seen: Item | None, wanted: Item | None) -> Result:
        """Step 5; SETTLED here means written."""
        async with self._writing:
            try:
                hindrance = await self._claim(case)
            except Retry as error:
                self._report("proving that a duty is this worker's", error, 1)
                return Result.AGAIN
            try:
                return hindrance or await self._replace(case, seen, wanted)
            except AccessDenied as error:
                return _denied(error, [case])

    async def _replace(self, case: Case, seen: Item | None, wanted: Item | None) -> Result:
        tools, settings = self._tools, self._tools.settings
        sent_at_s = tools.clock.boottime_s()
        try:
            await tools.destination.replace(case.key, as_read(seen, tools.codec.schema), wanted)
        except ConditionFailed:
            return Result.MOVED
        except Unanswered as error:
            failed_at_s = tools.clock.boottime_s()
            case.not_before(max(sent_at_s + settings.settle_s, failed_at_s + settings.stray_life_s))
            self._report("mending an item", error, 1)
            return Result.DOUBT
        except Retry as error:
            self._report("mending an item", error, 1)
            return Result.AGAIN
        except ItemRefused as error:
            case.why = str(error)
            log.error(
                "the destination refuses the source's state of the item %r: %s. It stays different and is tried again "
                "every %.0f s: mend the destination table, or the item at the source",
                case.key.key,
                error,
                REFUSED_AGAIN_S,
                extra={"event": "reconcile_refused", "facts": {"item": repr(case.key.key)}},
            )
            return Result.REFUSED
        tools.metrics.count("reconcile_repairs")
        return Result.SETTLED

    async def _claim(self, case: Case) -> Result | None:
        """Prove that the duty is this worker's until the write has been sent; None when it is.

            1 this worker is frozen, for longer than its claim lasts; 2 an heir takes the duty, settles and removes it;
            3 this worker thaws, writes, and dies before step 6: nobody knows of the write

        So the row is claimed anew before each write, and the write is sent only as long as nobody can have taken it
        since, judged by the heartbeats before. Frozen between that and the sending it goes on with step 6 afterwards.
        """
        claims = self._tools.claims
        if claims is None:
            return None
        settings = self._tools.settings
        until_s = claims.beaten_at_s() + claims.silence_s - settings.margin_s
        for duty in list(case.duties):
            # Rows may be added to the case meanwhile.
            place = case.duties.index(duty)
            try:
                case.duties[place] = await claims.state.claim_duty(duty, claims.worker)
            except ConditionFailed:
                del case.duties[place]
        if not case.duties:
            return Result.LOST
        return None if self._tools.clock.boottime_s() < until_s else Result.AGAIN

    async def _confirmed(self, mended: list[Case], written: Mapping[Key, Item]) -> dict[Case, Result]:
        """Step 6."""
        if not mended:
            return {}
        try:
            with self._size.reading(len(mended)):
                now = await self._tools.source.read([case.key for case in mended])
        except Retry as error:
            # Steps 3 and 4 find out as well.
            self._report("reading the source again", error, len(mended))
            return dict.fromkeys(mended, Result.AGAIN)
        except AccessDenied as error:
            return dict.fromkeys(mended, _denied(error, mended))
        results = {}
        for case in mended:
            key = case.key.key
            unmoved = key not in now.unprocessed and same(now.items.get(key), written.get(key))
            results[case] = Result.SETTLED if unmoved else Result.MOVED
        return results

    def _report(self, doing: str, error: Retry, items: int) -> None:
        now_s = self._tools.clock.boottime_s()
        if now_s - self._logged_at_s < LOG_EVERY_S:
            return
        self._logged_at_s = now_s
        log.warning(
            "%s: %s; trying again",
            doing,
            error,
            extra={"event": "reconcile_retry", "facts": {"items": items, "doing": doing}},
        )


def _denied(error: AccessDenied, cases: Sequence[Case]) -> Result:
    """Replication itself needs none of these rights, so it goes on; the duties stay."""
    for case in cases:
        case.why = str(error)
    log.error(
        "%d items may be out of step and cannot be compared or mended: %s. Tried again every %.0f s",
        len(cases),
        error,
        REFUSED_AGAIN_S,
        extra={"event": "reconcile_denied", "facts": {"items": len(cases)}},
    )
    return Result.REFUSED


def same(one: Item | None, other: Item | None) -> bool:
    """Whether two items are equal; two that are not there are."""
    if one is None or other is None:
        return one is other
    return first_difference(one, other) is None
