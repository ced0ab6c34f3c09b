"""Rows of the state table, of any kind: key `kind` (S, hash) and `id` (S, range), never in the lease table (P-4).

Every row names the incarnation it belongs to and the schema it was written in, so that deleting the lease table, or
switching the stream off and on, starts everything anew.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynamirror.aws.wire import Caller, Row, Value, all_rows, encode, get_row, n, s
from dynamirror.errors import Side, Stop
from dynamirror.ports import TableFacts

log = logging.getLogger("dynamirror.leases")

# A newer one may mean something that this version would break.
SCHEMA = 1
# Kind and id of the row that says which pair of tables the task's name stands for.
TASK, PAIR = "task", "pair"
# In place of a stream: the lives of a verify where no task has begun, and of a copy at rest. They follow nothing.
VERIFY_LIFE, _AT_REST = "verify", "at rest, "


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One life of a task: it ends when the lease table is deleted or the stream is switched off."""

    # TableId of the lease table: new with each creation, unlike its name and ARN.
    lease_table_id: str
    stream_arn: str
    schema: int = SCHEMA
    # Put before the kinds of rows, but for the pair's: so two lives that stand beside each other write over nothing.
    kinds: str = ""

    def attributes(self) -> dict[str, Value]:
        """What every row of this incarnation carries."""
        return {"leaseTableId": s(self.lease_table_id), "streamArn": s(self.stream_arn), "schema": n(self.schema)}

    def owns(self, row: Row) -> bool:
        """Whether the row belongs to this life of the task."""
        return all(row.get(name) == value for name, value in self.attributes().items() if name != "schema")

    def is_over(self, pair: Row | None) -> bool:
        """Whether the row of the pair stands in another life that was begun. One without a lease table, or a stream,
        was not: a start has looked, and made nothing, or a command that follows nothing has written the row."""
        if pair is None or self.owns(pair) or pair.get("leaseTableId") == s(""):
            return False
        return _begun(pair) is not None


def pair_of(row: Row | None) -> tuple[str, str] | None:
    """The ARNs of source and destination that the row of the pair names; None: it names none."""
    match row:
        case {"source": {"S": str(source)}, "destination": {"S": str(destination)}}:
            return source, destination
        case _:
            return None


def begun_stream(pair: Row | None, lease_table_id: str) -> str | None:
    """The stream that the task follows, by the row of the pair, with this lease table; None: it has begun with none."""
    return _begun(pair) if pair is not None and pair.get("leaseTableId") == s(lease_table_id) else None


def _begun(pair: Row) -> str | None:
    stream = str(pair.get("streamArn", {}).get("S", ""))
    return None if stream in ("", VERIFY_LIFE) or stream.startswith(_AT_REST) else stream


def at_rest(source: TableFacts, destination: TableFacts) -> Incarnation:
    """The life of a copy without a stream, in rows of its own: it ends when one of the two tables is made anew.

    A following task of the same name sees none of its rows, and it none of that task's: what either knows of a copy,
    and of who lives, says nothing about the other.
    """
    return Incarnation(source.table_id, f"{_AT_REST}to {destination.table_id}", kinds="at-rest-")


class StateRows:
    """The state table, as one incarnation of a task sees it."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self.name = name
        self.incarnation = incarnation
        self._caller = caller
        self._said: set[str] = set()

    @property
    def vacant(self) -> Mapping[str, Any]:
        """The condition that there is no such row, or one of another incarnation."""
        life = self.incarnation
        return {
            "ConditionExpression": "attribute_not_exists(#kind) OR #life <> :life OR #stream <> :stream",
            "ExpressionAttributeNames": {"#kind": "kind", "#life": "leaseTableId", "#stream": "streamArn"},
            "ExpressionAttributeValues": {":life": s(life.lease_table_id), ":stream": s(life.stream_arn)},
        }

    def unmoved(self, counter: str, value: int) -> Mapping[str, Any]:
        """The condition that nobody has written the row since; every write moves the counter, within a life."""
        life = self.incarnation
        return {
            "ConditionExpression": "#counter = :counter AND #life = :life AND #stream = :stream",
            "ExpressionAttributeNames": {"#counter": counter, "#life": "leaseTableId", "#stream": "streamArn"},
            "ExpressionAttributeValues": {
                ":counter": n(value),
                ":life": s(life.lease_table_id),
                ":stream": s(life.stream_arn),
            },
        }

    async def remove(self, kind: str, row_id: str, condition: Mapping[str, Any] | None = None) -> None:
        """Remove a row; no error when it is gone already. Raises ConditionFailed."""
        request = {"TableName": self.name, "Key": _key(kind, row_id), **(condition or {})}
        await self._caller.call("DeleteItem", encode(request))

    async def put(
        self, kind: str, row_id: str, attributes: Mapping[str, Value], condition: Mapping[str, Any] | None = None
    ) -> None:
        """Write a row whole, whatever stood there. Raises ConditionFailed."""
        row = {**_key(kind, row_id), **self.incarnation.attributes(), **attributes}
        await self._caller.call("PutItem", encode({"TableName": self.name, "Item": row, **(condition or {})}))

    async def row(self, kind: str, row_id: str) -> Row | None:
        """One row, of whatever incarnation, read consistently. Raises Stop when a newer dynamirror has written it."""
        row = await self.row_of_any_schema(kind, row_id)
        if row is not None:
            self._check_schema(row)
        return row

    async def row_of_any_schema(self, kind: str, row_id: str) -> Row | None:
        """As `row`; for what nothing is decided by."""
        request = {"TableName": self.name, "Key": _key(kind, row_id)}
        return await get_row(self._caller, request, f"GetItem of {kind}/{row_id} in the state table {self.name}")

    async def rows(self, kind: str) -> list[Row]:
        """All rows of a kind that belong to this incarnation, read consistently. Raises Stop as `row`."""
        request = {
            "TableName": self.name,
            "ConsistentRead": True,
            "KeyConditionExpression": "#kind = :kind",
            "ExpressionAttributeNames": {"#kind": "kind"},
            "ExpressionAttributeValues": {":kind": s(kind)},
        }
        what = f"Query of {kind} in the state table {self.name}"
        rows = []
        async for row in all_rows(self._caller, "Query", request, what):
            if self.incarnation.owns(row):
                self._check_schema(row)
                rows.append(row)
            else:
                self.say_once(
                    "state_rows_of_another_life",
                    "rows of an earlier lease table, stream or table are ignored; the task has started anew",
                )
        return rows

    def _check_schema(self, row: Row) -> None:
        match row.get("schema"):
            case {"N": str(schema)} if schema.isdecimal() and int(schema) <= self.incarnation.schema:
                return
            case schema:
                found = (schema or {}).get("N", "another kind")
                raise Stop(
                    Side.STATE,
                    f"the state table {self.name} has a row of schema {found}, and this version knows schemas up to "
                    f"{self.incarnation.schema} only: update dynamirror on this machine",
                )

    def say_once(self, event: str, what: str) -> None:
        """A warning, the first time."""
        if event not in self._said:
            self._said.add(event)
            log.warning("state table %s: %s", self.name, what, extra={"event": event, "facts": {"table": self.name}})


def _key(kind: str, row_id: str) -> dict[str, Value]:
    return {"kind": s(kind), "id": s(row_id)}
