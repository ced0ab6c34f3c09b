"""Reads all rows of a task, as anybody may who has the right to read them; nothing is written or made.

At a look: one Scan of the lease table, one Query for each kind of rows, two rows; and what the tables are, once a
minute. The stream is not read: two readers a shard are all that it bears.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from dynamirror.aws.connect import Connections
from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.failure_rows import FailureRows
from dynamirror.aws.gap_rows import GapRows
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.order_rows import OrderRows
from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.aws.rate_rows import RateRows
from dynamirror.aws.state_rows import PAIR, TASK, Incarnation, StateRows, at_rest, begun_stream, pair_of
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.preflight import found_table
from dynamirror.engines.reach import Control
from dynamirror.engines.state_setup import STATE_SCHEMA
from dynamirror.engines.table_checks import LEASE_SCHEMA, check_own
from dynamirror.errors import Retry, Stop
from dynamirror.model.status import CopySeen, Seen, Task, WorkerSeen
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.groups import ReplicationSettings

DESCRIBED_FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class _Tables:
    """What the tables were when they were last described; None: not there, or not to be seen."""

    at_s: float
    leases: TableFacts | None
    state: TableFacts | None
    source: TableFacts | None
    destination: TableFacts | None
    unread: Sequence[str] = field(default=())


class StatusLook:
    """One task, looked at as often as is wanted."""

    def __init__(self, connections: Connections, settings: ReplicationSettings, clock: Clock) -> None:
        self._connections = connections
        self._settings = settings
        self._clock = clock
        self._name = state_table_name(settings.task.lease_table)
        self._leases = LeaseTable(connections.state, settings.task.lease_table)
        self._tables: _Tables | None = None
        self._life = Incarnation("", "")

    @property
    def life(self) -> Incarnation:
        """The life of the task at the last look."""
        return self._life

    @property
    def has_state(self) -> bool:
        """There was a state table at the last look."""
        return self._tables is not None and self._tables.state is not None

    @property
    def has_leases(self) -> bool:
        """There was a lease table at the last look."""
        return self._tables is not None and self._tables.leases is not None

    async def look(self) -> Seen | None:
        """All rows; None: there is no such task. Raises Stop, Retry."""
        tables = await self._described()
        if tables.leases is None and tables.state is None:
            return None
        pair = None
        if tables.state is not None:
            pair = await self._state_rows(Incarnation("", "")).row(TASK, PAIR)
        lease_table_id = tables.leases.table_id if tables.leases is not None else ""
        stream_arn = begun_stream(pair, lease_table_id)
        latest_arn = tables.source.stream_arn if tables.source is not None else None
        stream_arn = stream_arn or latest_arn or ""
        self._life = Incarnation(lease_table_id, stream_arn)
        task = Task(
            self._settings.task.lease_table,
            self._name,
            *(pair_of(pair) or ("", "")),
            stream_arn,
            None if tables.source is None else latest_arn == stream_arn,
            tables.source.items if tables.source is not None else 0,
        )
        return await self._rows(task, tables)

    async def workers(self) -> Sequence[WorkerSeen]:
        """The heartbeat rows alone, once more. Raises Stop, Retry."""
        tables = self._tables
        if tables is None or tables.state is None:
            return ()
        found = [
            await StateTable(self._connections.state, self._name, life).workers_seen() for life in self._lives(tables)
        ]
        return [row for rows in found for row in rows]

    async def _rows(self, task: Task, tables: _Tables) -> Seen:
        rows = await self._leases.scan() if tables.leases is not None else []
        if tables.state is None:
            return Seen(*self._now(), task, rows, self._leases.foreign, unread=tables.unread)
        state, name, life = self._connections.state, self._name, self._life
        lives = self._lives(tables)
        workers, gaps, duties, orders, failure = await asyncio.gather(
            self.workers(),
            GapRows(state, name, life).gaps(),
            StateTable(state, name, life).duties(),
            OrderRows(state, name, life).orders(),
            FailureRows(state, name, life).last(),
        )
        copies, parked = await asyncio.gather(
            asyncio.gather(*(self._copy(of) for of in lives)),
            asyncio.gather(*(ParkedRows(state, name, of).rows() for of in lives)),
        )
        # Of one kind, whatever the life: those who copy at rest, and those who follow, are never there together.
        beside = [one for one, copy in zip(lives, copies, strict=True) if copy is not None and copy.goes_on_at_rest]
        rates = await RateRows(state, name, (beside or [life])[0]).rows()
        return Seen(
            *self._now(),
            task,
            rows,
            self._leases.foreign,
            workers,
            [copy for copy in copies if copy is not None],
            sum(len(found) for found in parked),
            gaps,
            len(duties),
            orders,
            rates,
            tables.unread,
            failure,
        )

    async def _copy(self, life: Incarnation) -> CopySeen | None:
        rows = CopyRows(self._connections.state, self._name, life)
        copy = await rows.copy()
        return CopySeen(copy, await rows.segments(), at_rest=bool(life.kinds)) if copy is not None else None

    def _lives(self, tables: _Tables) -> list[Incarnation]:
        """That of the workers who follow, and that of a copy at rest between the same tables."""
        source, destination = tables.source, tables.destination
        return [self._life, *([at_rest(source, destination)] if source is not None and destination is not None else [])]

    def _state_rows(self, life: Incarnation) -> StateRows:
        return StateRows(self._connections.state, self._name, life)

    def _now(self) -> tuple[int, float]:
        """Ms since the epoch by the service's last answer, and boot time."""
        return int((self._connections.state.served_s or self._clock.wall_s()) * 1000), self._clock.boottime_s()

    async def _described(self) -> _Tables:
        """What is there, asked once a minute; each time while there is no such task."""
        now_s, known = self._clock.boottime_s(), self._tables
        if known is not None and now_s - known.at_s < DESCRIBED_FOR_S and known.leases is not None:
            return known
        control, settings = self._connections.state_control, self._settings
        leases = await found_table(control, settings.task.lease_table)
        state = await found_table(control, self._name)
        unread: list[str] = []
        source = await _seen(self._connections.source_control, settings.source.table, unread)
        destination = await _seen(self._connections.destination_control, settings.destination.table, unread)
        for what, found, schema in (
            (f"lease table {settings.task.lease_table}", leases, LEASE_SCHEMA),
            (f"state table {self._name}", state, STATE_SCHEMA),
        ):
            if found is not None and found.status != "DELETING":
                check_own(what, found, schema)
        leases, state = ((found if _answers(found) else None) for found in (leases, state))
        self._tables = _Tables(now_s, leases, state, source, destination, unread)
        return self._tables


def _answers(found: TableFacts | None) -> bool:
    return found is not None and found.status not in ("CREATING", "DELETING")


async def _seen(control: Control, name: str, unread: list[str]) -> TableFacts | None:
    """A table that the status can do without."""
    try:
        found = await found_table(control, name)
    except (Stop, Retry) as error:
        unread.append(f"not seen: {error}")
        return None
    if found is None:
        unread.append(f"there is no table {name}")
    return found
