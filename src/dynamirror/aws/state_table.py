"""The state table: what must never stand in the lease table (P-4).

Key `kind` (S, hash) and `id` (S, range). Every row names the incarnation it belongs to and the schema it was
written in, so that deleting the lease table, or switching the stream off and on, starts everything anew.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from dynamirror.aws.wire import Caller, Row, Value, all_rows, encode, get_row, n, s
from dynamirror.errors import ConditionFailed, Retry, Side, Stop
from dynamirror.model.duty import Duty
from dynamirror.ports import PairAnswer

log = logging.getLogger("dynamirror.leases")

# Of the rows of this file. A newer one may mean something that this version would break.
SCHEMA = 1

_WORKER, _TASK, _PAIR, _DUTY = "worker", "task", "pair", "duty"
_RESERVED = frozenset({"kind", "id", "leaseTableId", "streamArn", "schema", "beat"})


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One life of a task: it ends when the lease table is deleted or the stream is switched off."""

    # TableId of the lease table: new with each creation, unlike its name and ARN.
    lease_table_id: str
    stream_arn: str
    schema: int = SCHEMA

    def attributes(self) -> dict[str, Value]:
        """What every row of this incarnation carries."""
        return {"leaseTableId": s(self.lease_table_id), "streamArn": s(self.stream_arn), "schema": n(self.schema)}

    def owns(self, row: Row) -> bool:
        """Whether the row belongs to this life of the task."""
        return all(row.get(name) == value for name, value in self.attributes().items() if name != "schema")


class StateTable:
    """The state table as `ports.StateStore`. Its rows are written whole, so each write may be repeated."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._caller = caller
        self._name = name
        self._incarnation = incarnation
        self._said: set[str] = set()

    async def beat(self, worker: str, counter: int, facts: Mapping[str, str]) -> None:
        """See ports.StateStore."""
        assert not _RESERVED & facts.keys(), f"{_RESERVED & facts.keys()} are names of the row itself"
        await self._put(_WORKER, worker, {name: s(text) for name, text in facts.items()} | {"beat": n(counter)})

    async def beats(self) -> dict[str, int]:
        """See ports.StateStore. Raises Stop when a newer dynamirror has written there."""
        beats = {}
        for row in await self._rows(_WORKER):
            match row:
                case {"id": {"S": str(worker)}, "beat": {"N": str(counter)}} if counter.isdecimal():
                    beats[worker] = int(counter)
                case _:
                    self._say_once("state_row_refused", f"a row of kind {_WORKER} without a counter is ignored")
        return beats

    async def retire(self, worker: str) -> None:
        """See ports.StateStore. No error when the row is gone already."""
        await self._caller.call("DeleteItem", encode({"TableName": self._name, "Key": _key(_WORKER, worker)}))

    async def remember_pair(self, source_arn: str, destination_arn: str) -> PairAnswer:
        """See ports.StateStore.

        Deleting the lease table restarts the task ("read everything that the stream still has"). A restart with
        the same pair goes through, since ARNs are names that survive the re-creation of a table; the row then
        moves into the present life of the task. With another pair the name is either a slip of the hand, which
        would mix two tasks, or meant, which only the operator knows: the answer says so (`ok` and `current` are
        False), and who means it deletes the state table too.
        Raises Retry when the row keeps changing under it, Stop when a newer dynamirror has written it.
        """
        wanted = {"source": s(source_arn), "destination": s(destination_arn)}
        for _ in range(3):
            row = await self._row(_TASK, _PAIR)
            if row is not None:
                current = self._incarnation.owns(row)
                if {name: row.get(name) for name in wanted} != wanted:
                    return PairAnswer(False, _text(row, "source"), _text(row, "destination"), current)
                if current:
                    return PairAnswer(True, source_arn, destination_arn)
            try:
                await self._put(_TASK, _PAIR, wanted, _unchanged(row))
            except ConditionFailed:
                continue
            return PairAnswer(True, source_arn, destination_arn)
        raise Retry(Side.STATE, f"the row {_TASK}/{_PAIR} of {self._name} changes all the time")

    async def put_duty(self, duty: Duty) -> None:
        """See ports.StateStore. The key's attributes stand there verbatim, for operators too."""
        await self._put(_DUTY, duty.id, _duty_row(duty))

    async def duties(self) -> list[Duty]:
        """See ports.StateStore. Raises Stop when a newer dynamirror has written there."""
        duties = []
        for row in await self._rows(_DUTY):
            match row:
                case {
                    "id": {"S": str(duty_id)},
                    "key": {"M": dict(key)},
                    "worker": {"S": str(worker)},
                    "claim": {"N": str(claim)},
                } if claim.isdecimal():
                    duties.append(Duty(duty_id, key, worker, int(claim)))
                case _:
                    self._say_once("state_row_refused", f"a row of kind {_DUTY} that is none of ours is ignored")
        return duties

    async def claim_duty(self, duty: Duty, worker: str) -> Duty:
        """See ports.StateStore."""
        claimed = replace(duty, worker=worker, claim=duty.claim + 1)
        await self._put(_DUTY, duty.id, _duty_row(claimed), _claimed_as(duty))
        return claimed

    async def remove_duty(self, duty: Duty) -> None:
        """See ports.StateStore."""
        request = {"TableName": self._name, "Key": _key(_DUTY, duty.id), **_claimed_as(duty)}
        with suppress(ConditionFailed):
            await self._caller.call("DeleteItem", encode(request))

    async def _put(
        self, kind: str, row_id: str, attributes: Mapping[str, Value], condition: Mapping[str, Any] | None = None
    ) -> None:
        row = {**_key(kind, row_id), **self._incarnation.attributes(), **attributes}
        await self._caller.call("PutItem", encode({"TableName": self._name, "Item": row, **(condition or {})}))

    async def _row(self, kind: str, row_id: str) -> Row | None:
        request = {"TableName": self._name, "Key": _key(kind, row_id)}
        row = await get_row(self._caller, request, f"GetItem of {kind}/{row_id} in the state table {self._name}")
        if row is not None:
            self._check_schema(row)
        return row

    async def _rows(self, kind: str) -> list[Row]:
        """All rows of a kind that belong to this incarnation, read consistently."""
        request = {
            "TableName": self._name,
            "ConsistentRead": True,
            "KeyConditionExpression": "#kind = :kind",
            "ExpressionAttributeNames": {"#kind": "kind"},
            "ExpressionAttributeValues": {":kind": s(kind)},
        }
        what = f"Query of {kind} in the state table {self._name}"
        rows = []
        async for row in all_rows(self._caller, "Query", request, what):
            if self._incarnation.owns(row):
                self._check_schema(row)
                rows.append(row)
            else:
                self._say_once(
                    "state_rows_of_another_life",
                    "rows of an earlier lease table or stream are ignored; replication has started anew",
                )
        return rows

    def _check_schema(self, row: Row) -> None:
        match row.get("schema"):
            case {"N": str(schema)} if schema.isdecimal() and int(schema) <= self._incarnation.schema:
                return
            case schema:
                raise Stop(
                    Side.STATE,
                    f"the state table {self._name} has a row of schema {schema}, this version knows "
                    f"{self._incarnation.schema}: update dynamirror on this machine",
                )

    def _say_once(self, event: str, what: str) -> None:
        if event not in self._said:
            self._said.add(event)
            log.warning("state table %s: %s", self._name, what, extra={"event": event, "facts": {"table": self._name}})


def _key(kind: str, row_id: str) -> dict[str, Value]:
    return {"kind": s(kind), "id": s(row_id)}


def _duty_row(duty: Duty) -> dict[str, Value]:
    return {"key": {"M": duty.key}, "worker": s(duty.worker), "claim": n(duty.claim)}


def _claimed_as(duty: Duty) -> dict[str, Any]:
    """The condition that nobody has taken the duty; false of a row that is not there."""
    return {
        "ConditionExpression": "#worker = :worker AND #claim = :claim",
        "ExpressionAttributeNames": {"#worker": "worker", "#claim": "claim"},
        "ExpressionAttributeValues": {":worker": s(duty.worker), ":claim": n(duty.claim)},
    }


def _unchanged(row: Row | None) -> Mapping[str, Any]:
    """The condition that the row is as it was read: absent, or of the same incarnation and pair."""
    if row is None:
        return {"ConditionExpression": "attribute_not_exists(#kind)", "ExpressionAttributeNames": {"#kind": "kind"}}
    seen = [name for name in ("leaseTableId", "streamArn", "source", "destination") if name in row]
    return {
        "ConditionExpression": " AND ".join(f"#{name} = :{name}" for name in seen),
        "ExpressionAttributeNames": {f"#{name}": name for name in seen},
        "ExpressionAttributeValues": {f":{name}": row[name] for name in seen},
    }


def _text(row: Row, name: str) -> str:
    match row.get(name):
        case {"S": str(text)}:
            return text
        case _:
            return f"(no {name})"
