"""Duties that nobody sees to any more: found, claimed, and not looked at before the dead can do no harm.

A duty of another worker is taken once that worker's heartbeat has stood still for the lease duration (model/duty), and
the item is read T + L after that moment at the earliest. A duty of this worker that it does not know of (an answer
was lost) is taken back in the same way, T + L from now.
"""

import logging
from collections.abc import Mapping

from msgspec import MsgspecError

from dynamirror.errors import ConditionFailed
from dynamirror.loops.rows import each_row
from dynamirror.model.duty import ClaimWatch, Duty
from dynamirror.model.item_key import ItemKeys
from dynamirror.ports import Clock
from dynamirror.prove.cases import Case, Cases
from dynamirror.prove.tools import Claims

# What is inherited beyond so many open cases stays in the state table for later, or for other workers.
OPEN_MAX = 10_000
LOOK_EVERY_S = 60.0
# After the moment at which a claimant may have fallen silent.
LOOK_AGAIN_S = 0.2

log = logging.getLogger("dynamirror.reconcile")


class Heirs:
    """Looks for duties of dead workers, and adds them to the cases."""

    def __init__(self, claims: Claims, cases: Cases, keys: ItemKeys, clock: Clock, settle_s: float) -> None:
        """`settle_s`: T + L."""
        self._claims = claims
        self._cases = cases
        self._keys = keys
        self._clock = clock
        self._settle_s = settle_s
        self._watch = ClaimWatch(claims.silence_s)
        self._refused: set[str] = set()
        # Since it was last told.
        self._taken = 0

    async def look(self) -> float:
        """Take over what is nobody's; returns in how many seconds to look again. Raises Retry, Stop."""
        claims = self._claims
        asked_at_s = self._clock.boottime_s()
        duties = await claims.state.duties()
        others = {duty.worker for duty in duties if duty.worker != claims.worker}
        beats: Mapping[str, int] = await claims.state.beats() if others else {}
        self._watch.see({worker: beats.get(worker) for worker in others}, asked_at_s, self._clock.boottime_s())
        try:
            await self._take_all(duties)
        finally:
            self._tell_taken()
        undecided_until_s = self._watch.undecided_until_s()
        if undecided_until_s is None:
            return LOOK_EVERY_S
        return min(LOOK_EVERY_S, max(0.0, undecided_until_s - self._clock.boottime_s()) + LOOK_AGAIN_S)

    async def _take_all(self, duties: list[Duty]) -> None:
        """Raises Retry, once all the others are taken."""
        known = self._cases.duty_ids()
        free = []
        for duty in duties:
            own = duty.worker == self._claims.worker
            ended_at_s = self._clock.boottime_s() if own else self._watch.ended_at_s(duty.worker)
            if duty.id not in known and ended_at_s is not None:
                free.append((duty, ended_at_s + self._settle_s))
        await each_row(self._take, free, self._clock)

    async def _take(self, free: tuple[Duty, float]) -> None:
        duty, ready_at_s = free
        if len(self._cases) >= OPEN_MAX:
            return
        try:
            key = self._keys.of_item(duty.key)
        except MsgspecError as error:
            self._refuse(duty, error)
            return
        try:
            claimed = await self._claims.state.claim_duty(duty, self._claims.worker)
        except ConditionFailed:
            # Another heir was faster, or it is done.
            return
        case = self._cases.find(key)
        if case is None:
            case = Case(key, ready_at_s)
            self._cases.open(case)
        case.duties.append(claimed)
        case.again(ready_at_s)
        self._taken += 1

    def _tell_taken(self) -> None:
        taken, self._taken = self._taken, 0
        if taken:
            log.warning(
                "%d items that were left to be reconciled are taken over",
                taken,
                extra={"event": "duties_inherited", "facts": {"items": taken}},
            )

    def _refuse(self, duty: Duty, error: MsgspecError) -> None:
        if duty.id not in self._refused:
            self._refused.add(duty.id)
            log.error(
                "the duty %s names no item of these tables (%s) and is left alone",
                duty.id,
                error,
                extra={"event": "duty_refused", "facts": {"duty": duty.id}},
            )
