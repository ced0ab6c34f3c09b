"""The state table as `state_ports.StateStore`: heartbeats, the pair of tables, duties."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dynamirror.aws.state_rows import PAIR, TASK, Incarnation, StateRows
from dynamirror.aws.wire import Caller, Row, Value, n, s
from dynamirror.aws.worker_rows import worker_of
from dynamirror.errors import ConditionFailed, Retry, Side
from dynamirror.model.duty import Duty
from dynamirror.model.status import WorkerSeen
from dynamirror.model.worker_row import WorkerRow
from dynamirror.state_ports import PairAnswer

_WORKER, _DUTY = "worker", "duty"
_SOURCE, _DESTINATION = "source", "destination"
_RESERVED = frozenset({"kind", "id", "leaseTableId", "streamArn", "schema", "beat", "leaseMs", "wants"})


class StateTable:
    """The state table as `state_ports.StateStore`. Its rows are written whole, so each write may be repeated."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._rows = StateRows(caller, name, incarnation)
        self._worker = incarnation.kinds + _WORKER

    async def beat(self, worker: str, row: WorkerRow, facts: Mapping[str, str | int]) -> None:
        """See state_ports.StateStore."""
        assert not _RESERVED & facts.keys(), f"{_RESERVED & facts.keys()} are names of the row itself"
        attributes = {name: s(fact) if isinstance(fact, str) else n(fact) for name, fact in facts.items()}
        attributes["beat"] = n(row.counter)
        if row.lease_ms is not None:
            attributes["leaseMs"] = n(row.lease_ms)
        if row.wants:
            attributes["wants"] = {"SS": sorted(row.wants)}
        await self._rows.put(self._worker, worker, attributes)

    async def workers(self) -> dict[str, WorkerRow]:
        """See state_ports.StateStore. Raises Stop when a newer dynamirror has written there."""
        found = {}
        for row in await self._rows.rows(self._worker):
            match row:
                case {"id": {"S": str(worker)}, "beat": {"N": str(counter)}} if counter.isdecimal():
                    found[worker] = WorkerRow(int(counter), _lease_ms(row), _wants(row))
                case _:
                    self._rows.say_once(
                        "state_row_refused", f"a row of kind {self._worker} without a counter is ignored"
                    )
        return found

    async def beats(self) -> dict[str, int]:
        """See state_ports.StateStore. Raises Stop as `workers`."""
        return {worker: row.counter for worker, row in (await self.workers()).items()}

    async def workers_seen(self) -> list[WorkerSeen]:
        """See state_ports.StateStore. Raises Stop when a newer dynamirror has written there."""
        return [worker_of(row) for row in await self._rows.rows(self._worker)]

    async def retire(self, worker: str) -> None:
        """See state_ports.StateStore. No error when the row is gone already."""
        await self._rows.remove(self._worker, worker)

    async def remember_pair(self, source_arn: str, destination_arn: str, moves: bool = True) -> PairAnswer:
        """See state_ports.StateStore.

        Deleting the lease table restarts the task ("read everything that the stream still has"). A restart with
        the same pair goes through, since ARNs are names that survive the re-creation of a table; the row then
        moves into the present life of the task. With another pair the name is either a slip of the hand, which
        would mix two tasks, or meant, which only the operator knows: the answer says so (`ok` and `current` are
        False), and who means it deletes the state table too.
        Workers of the former life end when they see the row in another one, so only whoever follows `moves` it.
        Raises Retry when the row keeps changing under it, Stop when a newer dynamirror has written it.
        """
        wanted = {"source": s(source_arn), "destination": s(destination_arn)}
        for _ in range(3):
            row = await self._rows.row(TASK, PAIR)
            if row is not None:
                current = self._rows.incarnation.owns(row)
                if {name: row.get(name) for name in wanted} != wanted:
                    return PairAnswer(False, _text(row, "source"), _text(row, "destination"), current)
                if current or not moves:
                    return PairAnswer(True, source_arn, destination_arn, current)
            try:
                await self._rows.put(TASK, PAIR, wanted, _unchanged(row))
            except ConditionFailed:
                continue
            return PairAnswer(True, source_arn, destination_arn)
        raise Retry(Side.STATE, f"the row {TASK}/{PAIR} of {self._rows.name} changes all the time")

    async def destination_id(self) -> str | None:
        """TableId of the destination that this life of the task began with; None: not remembered."""
        return await self._table_id(_DESTINATION)

    async def source_id(self) -> str | None:
        """TableId of the source that this life of the task began with; None: not remembered."""
        return await self._table_id(_SOURCE)

    async def _table_id(self, row_id: str) -> str | None:
        row = await self._rows.row(TASK, row_id)
        return _text(row, "tableId") if row is not None and self._rows.incarnation.owns(row) else None

    async def remember_tables(self, source_id: str, destination_id: str) -> None:
        """Remember both, unless this life of the task has them already. Idempotent."""
        for row_id, table_id in ((_SOURCE, source_id), (_DESTINATION, destination_id)):
            with suppress(ConditionFailed):
                await self._rows.put(TASK, row_id, {"tableId": s(table_id)}, self._rows.vacant)

    async def put_duty(self, duty: Duty) -> None:
        """See state_ports.StateStore. The key's attributes stand there verbatim, for operators too."""
        await self._rows.put(_DUTY, duty.id, _duty_row(duty))

    async def duties(self) -> list[Duty]:
        """See state_ports.StateStore. Raises Stop when a newer dynamirror has written there."""
        duties = []
        for row in await self._rows.rows(_DUTY):
            match row:
                case {
                    "id": {"S": str(duty_id)},
                    "key": {"M": dict(key)},
                    "worker": {"S": str(worker)},
                    "claim": {"N": str(claim)},
                } if claim.isdecimal():
                    duties.append(Duty(duty_id, key, worker, int(claim)))
                case _:
                    self._rows.say_once("state_row_refused", f"a row of kind {_DUTY} that is none of ours is ignored")
        return duties

    async def claim_duty(self, duty: Duty, worker: str) -> Duty:
        """See state_ports.StateStore."""
        claimed = replace(duty, worker=worker, claim=duty.claim + 1)
        await self._rows.put(_DUTY, duty.id, _duty_row(claimed), _claimed_as(duty))
        return claimed

    async def remove_duty(self, duty: Duty) -> None:
        """See state_ports.StateStore."""
        with suppress(ConditionFailed):
            await self._rows.remove(_DUTY, duty.id, _claimed_as(duty))


def _lease_ms(row: Row) -> int | None:
    match row.get("leaseMs"):
        case {"N": str(text)} if text.isdecimal():
            return int(text)
        case _:
            return None


def _wants(row: Row) -> frozenset[str]:
    match row.get("wants"):
        case {"SS": [*shards]}:
            return frozenset(map(str, shards))
        case _:
            return frozenset()


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
