"""Parked items in the state table, as `state_ports.ParkStore`: a row each, and rows of their images, which may be
larger.

A row's id is its item's digest; a part of an image has the version in its id too, so no two versions mix.
"""

from collections.abc import Mapping
from typing import Any

from dynamirror.aws.state_rows import Incarnation, StateRows
from dynamirror.aws.wire import Caller, Row, Value, n, s
from dynamirror.errors import AccessDenied, ConditionFailed
from dynamirror.model.parked import Parked, chunks_of

_PARKED, _IMAGE = "parked", "parked-image"


class ParkedRows:
    """One task's."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._rows = StateRows(caller, name, incarnation)
        self._parked, self._image = incarnation.kinds + _PARKED, incarnation.kinds + _IMAGE

    async def park(self, parked: Parked, image: bytes) -> bool:
        """See state_ports.ParkStore."""
        found = await self._rows.row(self._parked, parked.id)
        older = _parked_of(found) if found is not None else None
        for number, chunk in enumerate(chunks_of(image)):
            await self._rows.put(self._image, _chunk_id(parked, number), {"json": s(chunk)})
        try:
            await self._rows.put(self._parked, parked.id, _row_of(parked), self._not_newer_than(parked))
        except ConditionFailed:
            await self._forget_image(parked)
            return False
        if older is not None and older.version != parked.version:
            await self._forget_image(older)
        return True

    async def unpark(self, parked: Parked) -> bool:
        """See state_ports.ParkStore. The image goes in any case: an earlier attempt, whose answer was lost, may have
        removed the row only."""
        removed = True
        try:
            await self._rows.remove(self._parked, parked.id, self._of_version(parked))
        except ConditionFailed:
            removed = False
        await self._forget_image(parked)
        return removed

    async def rows(self) -> list[Parked]:
        """See state_ports.ParkStore. Raises Stop when a newer dynamirror has written there."""
        found = []
        for row in await self._rows.rows(self._parked):
            parked = _parked_of(row)
            if parked is not None:
                found.append(parked)
            else:
                self._rows.say_once(
                    "state_row_refused", f"a row of kind {self._parked} that is none of ours is ignored"
                )
        return found

    async def image(self, parked: Parked) -> bytes | None:
        """See state_ports.ParkStore."""
        chunks = []
        for number in range(parked.chunks):
            row = await self._rows.row(self._image, _chunk_id(parked, number))
            match row:
                case {"json": {"S": str(chunk)}}:
                    chunks.append(chunk)
                case _:
                    return None
        return "".join(chunks).encode() or None

    async def _forget_image(self, parked: Parked) -> None:
        """Where that is not allowed it stays, read by nobody."""
        try:
            for number in range(parked.chunks):
                await self._rows.remove(self._image, _chunk_id(parked, number))
        except AccessDenied as error:
            self._rows.say_once("rows_kept", f"images that nobody needs any more are not removed: {error}")

    def _not_newer_than(self, parked: Parked) -> Mapping[str, Any]:
        """The condition that there is no such row, or none of a newer version, or one of another life."""
        vacant = self._rows.vacant
        return {
            "ConditionExpression": f"{vacant['ConditionExpression']} OR #version <= :version",
            "ExpressionAttributeNames": {**vacant["ExpressionAttributeNames"], "#version": "version"},
            "ExpressionAttributeValues": {**vacant["ExpressionAttributeValues"], ":version": s(parked.version)},
        }

    def _of_version(self, parked: Parked) -> Mapping[str, Any]:
        life = self._rows.incarnation
        return {
            "ConditionExpression": "#version = :version AND #life = :life AND #stream = :stream",
            "ExpressionAttributeNames": {"#version": "version", "#life": "leaseTableId", "#stream": "streamArn"},
            "ExpressionAttributeValues": {
                ":version": s(parked.version),
                ":life": s(life.lease_table_id),
                ":stream": s(life.stream_arn),
            },
        }


def _chunk_id(parked: Parked, number: int) -> str:
    return f"{parked.id}/{parked.version}/{number}"


def _row_of(parked: Parked) -> Mapping[str, Value]:
    return {
        "key": {"M": parked.key},
        "version": s(parked.version),
        "error": s(parked.error),
        "parkedMs": n(parked.at_ms),
        "worker": s(parked.worker),
        "chunks": n(parked.chunks),
        "bytes": n(parked.size_bytes),
    }


def _parked_of(row: Row) -> Parked | None:
    """None: it is no such row."""
    match row:
        case {
            "id": {"S": str(row_id)},
            "key": {"M": dict(key)},
            "version": {"S": str(version)},
            "error": {"S": str(error)},
            "parkedMs": {"N": str(at_ms)},
            "worker": {"S": str(worker)},
            "chunks": {"N": str(chunks)},
            "bytes": {"N": str(size)},
        } if at_ms.isdecimal() and chunks.isdecimal() and size.isdecimal():
            return Parked(row_id, key, version, error, int(at_ms), worker, int(chunks), int(size))
        case _:
            return None
