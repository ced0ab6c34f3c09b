"""--on-gap reconcile: open gaps are closed by the task itself, beside following (docs/decisions/0014).

One worker of the task compares, the first of those that live by name. Two that believe it of themselves for a moment do
no harm: the second takes the verify over, and the first gives way.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from dynamirror.aws.connect import Connections
from dynamirror.aws.state_rows import Incarnation
from dynamirror.engines.assemble import Worker
from dynamirror.engines.assemble_verify import Verified
from dynamirror.engines.attempts import patiently
from dynamirror.engines.preflight import Facts
from dynamirror.engines.verify_options import VerifyOptions
from dynamirror.engines.verify_report import Report
from dynamirror.engines.verify_run import Told, compare, lives_of
from dynamirror.engines.verify_state import state_in
from dynamirror.errors import DynamirrorError
from dynamirror.loops.gate import Gate
from dynamirror.model.copy import Phase
from dynamirror.model.gap import OnGap, OpenGap, is_first
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings

LOOK_EVERY_S = 5.0
AGAIN_S = 60.0

log = logging.getLogger("dynamirror.gaps")


async def heal_gaps(
    connections: Connections, facts: Facts, settings: ReplicationSettings, worker: Worker, clock: Clock
) -> None:
    """Until cancelled; returns at once where the policy is another one. Raises Stop."""
    state = facts.state
    if state is None or settings.read.on_gap is not OnGap.RECONCILE:
        return
    seen: Mapping[str, int] = {}
    said = False
    while True:
        # Heartbeats move several times between two looks.
        await clock.sleep(LOOK_EVERY_S)
        # A copy's pages may land over what is mended: it is over first.
        copy = worker.copier.standing() if worker.copier is not None else None
        if not worker.gaps.open or worker.gate.closed or (copy is not None and copy.phase is not Phase.OVER):
            continue
        if left := [gap for gap in worker.gaps.open if gap.for_a_person]:
            said = said or _said_so(left[0])
            continue
        beats = await patiently(clock, "the heartbeats", state.beats)
        before, seen = seen, beats
        if not is_first(worker.id, before, beats):
            continue
        try:
            await _unless_paused(worker.gate, _compared(connections, facts, settings, clock))
        except* DynamirrorError as errors:
            log.warning(
                "comparing the tables because of a gap: %s; trying again in %d s",
                errors.exceptions[0],
                AGAIN_S,
                extra={"event": "gap_heal_retry", "facts": {}},
            )
        await patiently(clock, "the gaps", worker.gaps.look)
        if worker.gaps.open:
            await clock.sleep(AGAIN_S)


def _said_so(gap: OpenGap) -> bool:
    log.error(
        "not mended by this task: %s. The source table itself was made anew, and what it does not have would be "
        "deleted at the destination: look at both tables, then run dynamirror verify --repair",
        gap,
        extra={"event": "gap_for_a_person", "facts": {"stream": gap.shard_id}},
    )
    return True


async def _unless_paused(gate: Gate, comparing: Coroutine[Any, Any, None]) -> None:
    """Cut off where the task is paused meanwhile; it goes on where it was later."""
    work, shut = asyncio.ensure_future(comparing), asyncio.ensure_future(gate.shut())
    try:
        await asyncio.wait({work, shut}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        shut.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _compared(connections: Connections, facts: Facts, settings: ReplicationSettings, clock: Clock) -> None:
    log.info("comparing and mending both tables because of a gap", extra={"event": "gap_heal", "facts": {}})
    lives = await lives_of(connections, settings, clock)
    assert facts.state is not None, "looked at before"
    life = Incarnation(facts.lease_table.table_id, facts.stream_arn)
    rows = state_in(connections, settings, life, facts.state, (facts.source, facts.destination))
    verified = Verified(facts.source, facts.destination, lives, rows)
    report = Report(None, clock.wall_s)
    result = await compare(connections, settings, VerifyOptions(repair=True), verified, Told(report))
    log.info(
        "compared because of a gap: %d differences, %d mended",
        result.tally.found,
        result.tally.mended,
        extra={"event": "gap_compared", "facts": {"found": result.tally.found, "mended": result.tally.mended}},
    )
