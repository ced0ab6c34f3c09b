"""What a verify may use of the state table: its row, duties, and what it says of a copy under way."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.gap_rows import GapRows
from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.aws.state_rows import PAIR, TASK, VERIFY_LIFE, Incarnation, StateRows, at_rest, begun_stream
from dynamirror.aws.verify_rows import VerifyRows
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Reach
from dynamirror.engines.state_setup import StateSetup
from dynamirror.errors import AccessDenied, NotFound, Retry
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.parked import Parked
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.state_ports import ParkStore, StateStore

COPY_LOOK_S = 10.0

log = logging.getLogger("dynamirror.verify")


@dataclass(frozen=True, slots=True)
class VerifyState:
    """Rows of the task's life, or of a life of the source table's own where there is no task."""

    table: StateStore
    rows: VerifyRows
    copies: CopyRows
    # Items that the destination refuses.
    parked: Sequence[ParkStore]
    gaps: GapRows
    # In whose life the task is; none of the source's where there is no task.
    stream_arn: str


async def open_state(
    reach: Reach,
    settings: ReplicationSettings,
    pair: tuple[TableFacts, TableFacts],
    clock: Clock,
) -> VerifyState | None:
    """The state table, made when missing; None where the credentials may not use it, which is said.

    Raises Refused when the task name stands for other tables; Stop, Retry.
    """
    source, destination = pair
    setup = StateSetup(reach, settings, clock, (source.arn, destination.arn))
    try:
        life = await task_life(reach, settings, source, clock)
        table = await setup.open(life, follows=False)
    except AccessDenied as error:
        log.warning(
            "going on without the state table, so a verify that is ended begins anew: %s",
            error,
            extra={"event": "verify_without_state", "facts": {}},
        )
        return None
    assert table is not None, "only the Java form goes on without"
    return state_in(reach, settings, life, table, pair)


def state_in(
    reach: Reach,
    settings: ReplicationSettings,
    life: Incarnation,
    table: StateStore,
    pair: tuple[TableFacts, TableFacts],
) -> VerifyState:
    """The rows of one life of the task, in a state table that is there."""
    name = state_table_name(settings.task.lease_table)
    return VerifyState(
        table,
        VerifyRows(reach.state, name, life),
        CopyRows(reach.state, name, life),
        parked_stores(reach, settings, life, pair),
        GapRows(reach.state, name, life),
        life.stream_arn,
    )


def parked_stores(
    reach: Reach, settings: ReplicationSettings, life: Incarnation, pair: tuple[TableFacts, TableFacts]
) -> Sequence[ParkedRows]:
    """Where parked items are: those of the task's workers, and those of a copy at rest between the same tables."""
    name = state_table_name(settings.task.lease_table)
    return [ParkedRows(reach.state, name, of) for of in (life, at_rest(*pair))]


async def parked_items(stores: Sequence[ParkStore], clock: Clock) -> list[Parked]:
    """All that is parked there now. Raises Stop, or a Retry that did not pass."""
    return [parked for store in stores for parked in await patiently(clock, "the parked items", store.rows)]


async def task_life(reach: Reach, settings: ReplicationSettings, source: TableFacts, clock: Clock) -> Incarnation:
    """The present life of the task, also where its stream is off, or where the table has another one by now, which is
    not followed yet; of the source table alone where there is no task. Raises Stop, or a Retry that did not pass."""
    try:
        leases = await reach.state_control.describe_table(settings.task.lease_table)
    except NotFound:
        return Incarnation(source.table_id, VERIFY_LIFE)
    followed = await followed_stream(reach, settings, leases.table_id, clock)
    return Incarnation(leases.table_id, followed or source.stream_arn or source.last_stream_arn or VERIFY_LIFE)


async def followed_stream(reach: Reach, settings: ReplicationSettings, lease_table_id: str, clock: Clock) -> str | None:
    """The stream in whose life the task is, by the row of the pair; None: it has begun with none, as far as is known.
    Raises Stop, or a Retry that did not pass."""
    name = state_table_name(settings.task.lease_table)
    rows = StateRows(reach.state, name, Incarnation(lease_table_id, ""))
    try:
        pair = await patiently(clock, f"the pair in {name}", lambda: rows.row(TASK, PAIR))
    except NotFound:
        return None
    return begun_stream(pair, lease_table_id)


class Copies(Protocol):
    """Where a copy is seen (aws/copy_rows)."""

    async def copy(self) -> Copy | None:
        """See state_ports.CopyStore."""


class Patience:
    """How long a difference has to last: longer while a copy of the task holds changes back."""

    def __init__(self, patience_s: float, settings: ReplicationSettings, clock: Clock) -> None:
        self._patience_s = patience_s
        self._hold_s = settings.hold.hold_s
        self._settle_s = settings.write.settle_s
        self._clock = clock
        self._copy: Copy | None = None

    def now_s(self) -> float:
        """What it is now."""
        if self._copy is None or self._copy.phase is Phase.OVER:
            return self._patience_s
        return self._patience_s + max(self._hold_s, self._copy.held_s) + self._settle_s

    @property
    def copying(self) -> bool:
        """A copy is going on, as far as is known: its pages may still land over what is looked at."""
        return self._copy is not None and self._copy.phase is not Phase.OVER

    async def look(self, copies: Copies) -> None:
        """See whether there is a copy. Raises Retry, Stop."""
        before = self._copy
        self._copy = await copies.copy()
        if before is None and self._copy is not None and self._copy.phase is not Phase.OVER:
            log.warning(
                "the task is copying its table (%s): what the copy has not reached counts as missing; verify again "
                "when it is over",
                self._copy.phase.value,
                extra={"event": "verify_beside_copy", "facts": {"phase": self._copy.phase.value}},
            )

    async def run(self, copies: Copies) -> None:
        """Look until cancelled. Raises Stop."""
        while True:
            await self._clock.sleep(COPY_LOOK_S)
            try:
                await self.look(copies)
            except Retry as error:
                log.debug("looking for a copy: %s", error)
