"""A stream that was switched off and on again, or whose table was made anew: to the task another one, and a gap between
the two (docs/decisions/0014)."""

import logging
from dataclasses import dataclass
from functools import partial

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.gap_rows import GapRows
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.attempts import patiently
from dynamirror.engines.old_stream import with_old_stream
from dynamirror.engines.reach import Control, Reach
from dynamirror.engines.table_checks import check_stream
from dynamirror.engines.verify_state import followed_stream
from dynamirror.errors import AccessDenied, Gap, Side, Stop
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.gap import STREAM_END, TABLE_END, OnGap, OpenGap
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.groups import ReplicationSettings

log = logging.getLogger("dynamirror.gaps")


@dataclass(frozen=True, slots=True)
class Followed:
    """`source`: with the stream that is followed. `latest_arn`: the one that the table has; another one, where an older
    one is followed to its end first. `before`: the life that the task has had so far, where its stream is known.
    `next`: what there is to note before the task goes on with another stream."""

    source: TableFacts
    latest_arn: str | None
    before: Incarnation | None = None
    next: "NextStream | None" = None


async def which_stream(
    reach: Reach, settings: ReplicationSettings, source: TableFacts, leases: TableFacts | None, clock: Clock
) -> Followed:
    """Which stream a start follows; nothing is changed. Raises Gap, Stop, or a Retry that did not pass."""
    latest_arn = source.stream_arn
    if leases is None or leases.status == "CREATING":
        check_stream(source, settings)
        return Followed(source, latest_arn)
    before = await _followed_before(reach, settings, leases, source, clock)
    source = await with_old_stream(reach, settings.task.lease_table, source, clock, before)
    check_stream(source, settings)
    if before is None:
        return Followed(source, latest_arn)
    life = Incarnation(leases.table_id, before)
    if before == source.stream_arn:
        return Followed(source, latest_arn, life)
    following = NextStream(reach, settings, clock, source, life)
    await following.refuse()
    return Followed(source, latest_arn, life, following)


async def _followed_before(
    reach: Reach, settings: ReplicationSettings, leases: TableFacts, source: TableFacts, clock: Clock
) -> str | None:
    """The stream that the task has followed so far; None: it has followed none, or nobody knows. Raises Stop, or a
    Retry that did not pass."""
    try:
        stream_arn = await followed_stream(reach, settings, leases.table_id, clock)
    except AccessDenied:
        return None
    if stream_arn in (None, source.stream_arn):
        return stream_arn
    # DynamoDB Local gives tables no ids: without rows the lease table may be another one.
    table = LeaseTable(reach.state, settings.task.lease_table)
    rows_there = await patiently(clock, f"the leases in {settings.task.lease_table}", table.scan)
    return stream_arn if rows_there else None


@dataclass(frozen=True, slots=True)
class NextStream:
    """The task has followed a stream in the life `before` as far as it goes, and is to go on with another one."""

    reach: Reach
    settings: ReplicationSettings
    clock: Clock
    source: TableFacts
    before: Incarnation

    async def refuse(self) -> None:
        """Raises Gap where the policy is to stop; Stop where the tables would be compared, and the source is not the
        table that the task began with: what it lacks would be deleted at the destination."""
        settings, source = self.settings, self.settings.source.table
        if settings.read.on_gap is OnGap.STOP:
            raise Gap(
                f"gap in the stream: {self._what}. Nothing was skipped: leases and state stay as they are "
                f"({settings.task.lease_table}). {Gap.ADVICE}"
            )
        if settings.read.on_gap is not OnGap.RECONCILE:
            return
        if await self._another_table():
            raise Stop(
                Side.SOURCE,
                f"the source table {source} was deleted and made anew since the task {settings.task.lease_table} "
                "began. --on-gap reconcile would delete at the destination whatever the new table does not have: look "
                "at both tables, then give --on-gap continue and run dynamirror verify --repair, or start over: "
                "dynamirror reset, and copy the table anew",
            )

    async def note(self, life: Incarnation, worker: str) -> None:
        """Write the gap into the life that is to begin, before it does; what is to be reconciled; and that its copy is
        over, if the last one's was. Idempotent. Raises Stop, or a Retry that did not pass.

        1 the pair's row moves into the new life; 2 the worker dies: nobody would know of the gap
        """
        now_ms = int(self.clock.wall_s() * 1000)
        # The row says so for good: the next life knows the new table only, and another worker may reconcile there.
        behind = TABLE_END if await self._another_table() else STREAM_END
        # Both streams name the row: a start that was frozen while others went on to a third one, in the life of that,
        # writes over nothing of theirs.
        between = f"{_label(self.before.stream_arn)} to {_label(life.stream_arn)}"
        gap = OpenGap(between, behind, self._what, now_ms, worker)
        rows = GapRows(self.reach.state, self._name, life)
        await patiently(self.clock, "the gap", lambda: rows.open_gap(gap))
        if behind == STREAM_END:
            await self._carry_duties(life)
        copy = await self._copy()
        if copy is not None and copy.phase is Phase.OVER:
            new = CopyRows(self.reach.state, self._name, life)
            await patiently(self.clock, "the row of the copy", lambda: new.take_over(copy, self.before))
        log.error(
            "gap in the stream: %s; changes made before now may be missing at the destination until both tables are "
            "compared and mended (dynamirror verify --repair). Going on with the new stream",
            self._what,
            extra={"event": "gap", "facts": {"stream": self.before.stream_arn, "next": life.stream_arn}},
        )

    async def _carry_duties(self, life: Incarnation) -> None:
        """Items to be reconciled go along; not where the source is another table, for which they mean nothing.

        1 a write is not answered; its item is to be reconciled once it can land no more; 2 the task goes on with the
        next stream; 3 the comparison that closes the gap sees the item; 4 the write lands
        """
        old, new = (StateTable(self.reach.state, self._name, of) for of in (self.before, life))
        for duty in await patiently(self.clock, "items to be reconciled", old.duties):
            await patiently(self.clock, "an item to be reconciled", partial(new.put_duty, duty))

    async def forgets_copy(self) -> bool:
        """Whether the next life will know nothing of the copy: it is not over. Raises Stop, or a Retry that did not
        pass."""
        copy = await self._copy()
        return copy is not None and copy.phase is not Phase.OVER

    async def _copy(self) -> Copy | None:
        rows = CopyRows(self.reach.state, self._name, self.before)
        return await patiently(self.clock, "the row of the copy", rows.copy)

    async def _another_table(self) -> bool:
        """Whether the source is known to be another table than the one that the task began with, in the life before or
        earlier, with a gap of that kind still open."""
        former = StateTable(self.reach.state, self._name, self.before)
        known = await patiently(self.clock, "the source that the task began with", former.source_id)
        gaps = await patiently(self.clock, "the gaps", GapRows(self.reach.state, self._name, self.before).gaps)
        return known not in (None, "", self.source.table_id) or any(gap.for_a_person for gap in gaps)

    @property
    def _what(self) -> str:
        return (
            f"the stream of {self.settings.source.table} was switched off and on again, or the table made anew, since "
            f"the task followed it (its stream of {_label(self.before.stream_arn)}); what was changed in "
            "between is in no stream"
        )

    @property
    def _name(self) -> str:
        return state_table_name(self.settings.task.lease_table)


async def next_stream_on(control: Control, settings: ReplicationSettings, over_arn: str) -> bool:
    """Whether a life of the task that is over is followed by another one of the same task, with a new stream (not
    `over_arn`), and the policy is to go on. Raises Stop, Retry."""
    if settings.read.on_gap is OnGap.STOP:
        return False
    stream_arn = (await control.describe_table(settings.source.table)).stream_arn
    return stream_arn not in (None, over_arn)


def _label(stream_arn: str) -> str:
    """The part of the ARN that tells a table's streams apart: the time at which it was switched on."""
    return stream_arn.rpartition("/stream/")[2]
