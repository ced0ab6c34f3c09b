"""The rows of a copy in the state table, as `state_ports.CopyStore`."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from dynamirror.aws.state_rows import PAIR, TASK, Incarnation, StateRows
from dynamirror.aws.wire import Caller, Row, Value, n, s
from dynamirror.errors import ConditionFailed, Side, Stop
from dynamirror.model.copy import Copy, Phase, Segment

_COPY, _SEGMENT = "copy", "segment"
# Row ids sort as their numbers do.
_DIGITS = 6

T = TypeVar("T")


class CopyRows:
    """One task's."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._caller = caller
        self._rows = StateRows(caller, name, incarnation)
        self._copy, self._segment = incarnation.kinds + _COPY, incarnation.kinds + _SEGMENT

    async def copy(self) -> Copy | None:
        """See state_ports.CopyStore. Raises Stop for a row that cannot be read."""
        row = await self._rows.row(self._copy, TASK)
        if row is None or not self._rows.incarnation.owns(row):
            return None
        return _read(self._rows.name, _copy_of, row)

    async def life_is_mine(self) -> bool:
        """See state_ports.CopyStore."""
        return not self._rows.incarnation.is_over(await self._rows.row(TASK, PAIR))

    async def put_copy(self, copy: Copy, before: Copy | None) -> None:
        """See state_ports.CopyStore."""
        condition = self._rows.vacant if before is None else self._rows.unmoved("version", before.version)
        await self._rows.put(self._copy, TASK, _copy_row(copy), condition)

    async def take_over(self, copy: Copy, before: Incarnation) -> None:
        """Move the row of a copy from the life `before` into this one, unless it has changed since, or is in another
        one by now; no error then."""
        condition = StateRows(self._caller, self._rows.name, before).unmoved("version", copy.version)
        with suppress(ConditionFailed):
            await self._rows.put(self._copy, TASK, _copy_row(copy), condition)

    async def former(self) -> Copy | None:
        """The copy of an earlier life of the task that its row still tells of; None: it was over, or there is none.
        Raises Stop for a row that cannot be read."""
        row = await self._rows.row(self._copy, TASK)
        if row is None or self._rows.incarnation.owns(row):
            return None
        former = _read(self._rows.name, _copy_of, row)
        return None if former.phase is Phase.OVER else former

    async def forget(self, former: Copy) -> None:
        """Remove the row of an earlier life, unless it has changed since; no error when it is gone already."""
        life = self._rows.incarnation
        condition = {
            "ConditionExpression": "#version = :version AND (#life <> :life OR #stream <> :stream)",
            "ExpressionAttributeNames": {"#version": "version", "#life": "leaseTableId", "#stream": "streamArn"},
            "ExpressionAttributeValues": {
                ":version": n(former.version),
                ":life": s(life.lease_table_id),
                ":stream": s(life.stream_arn),
            },
        }
        with suppress(ConditionFailed):
            await self._rows.remove(self._copy, TASK, condition)

    async def segments(self) -> list[Segment]:
        """See state_ports.CopyStore. Raises Stop for a row that cannot be read."""
        return [_read(self._rows.name, _segment_of, row) for row in await self._rows.rows(self._segment)]

    async def make_segment(self, segment: Segment) -> None:
        """See state_ports.CopyStore. A row of an earlier life of the task is written over."""
        with suppress(ConditionFailed):
            await self._rows.put(self._segment, _id(segment), _segment_row(segment), self._rows.vacant)

    async def put_segment(self, segment: Segment, before: Segment) -> None:
        """See state_ports.CopyStore."""
        await self._rows.put(
            self._segment, _id(segment), _segment_row(segment), self._rows.unmoved("claim", before.claim)
        )


def _copy_row(copy: Copy) -> Mapping[str, Value]:
    row: dict[str, Value] = {
        "phase": s(copy.phase.value),
        "segments": n(copy.segments),
        "beganMs": n(copy.began_ms),
        "wasEmpty": {"BOOL": copy.was_empty},
        "needsVerify": {"BOOL": copy.needs_verify},
        "version": n(copy.version),
    }
    if copy.done_ms:
        row["doneMs"] = n(copy.done_ms)
    if copy.hold_s:
        row["holdS"] = n(copy.hold_s)
    if copy.announced_by:
        row["announcedBy"] = s(copy.announced_by)
    return row


def _id(segment: Segment) -> str:
    return f"{segment.number:0{_DIGITS}}"


def _segment_row(segment: Segment) -> Mapping[str, Value]:
    row: dict[str, Value] = {
        "claim": n(segment.claim),
        "done": {"BOOL": segment.done},
        "read": n(segment.read),
        "written": n(segment.written),
        "parked": n(segment.parked),
        "bytes": n(segment.size_bytes),
    }
    if segment.owner is not None:
        row["worker"] = s(segment.owner)
    if segment.after:
        # As text: the state table need not know the item's attributes, and keeps binary keys as they came.
        row["after"] = s(segment.after.decode())
    return row


def _copy_of(row: Row) -> Copy:
    return Copy(
        Phase(row["phase"]["S"]),
        int(row["segments"]["N"]),
        int(row["beganMs"]["N"]),
        row["wasEmpty"]["BOOL"] is True,
        int(row["version"]["N"]),
        row["needsVerify"]["BOOL"] is True,
        # Rows of before there was one lack them.
        int(row["doneMs"]["N"]) if "doneMs" in row else 0,
        float(row["holdS"]["N"]) if "holdS" in row else 0.0,
        row["announcedBy"]["S"] if "announcedBy" in row else "",
    )


def _segment_of(row: Row) -> Segment:
    return Segment(
        int(row["id"]["S"]),
        row["worker"]["S"] if "worker" in row else None,
        int(row["claim"]["N"]),
        row["done"]["BOOL"] is True,
        row["after"]["S"].encode() if "after" in row else b"",
        int(row["read"]["N"]),
        int(row["written"]["N"]),
        int(row["parked"]["N"]),
        int(row["bytes"]["N"]),
    )


def _read(table: str, of: Callable[[Row], T], row: Row) -> T:
    try:
        return of(row)
    except (KeyError, TypeError, ValueError) as error:
        raise Stop(
            Side.STATE,
            f"the state table {table} has a row of the copy that cannot be read ({error!r}): mend it, or delete the "
            "task's lease table and its state table to start the task anew",
        ) from error
