"""The lease table and the state table in memory."""

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from dynamirror.errors import ConditionFailed, Retry, Side
from dynamirror.model.duty import Duty
from dynamirror.model.graph_row import GraphHead
from dynamirror.model.lease import Lease, Update
from dynamirror.model.shard_graph import Listing
from dynamirror.model.status import WorkerSeen
from dynamirror.model.worker_row import WorkerRow
from dynamirror.state_ports import PairAnswer
from dynamirror.testing.faults import Line


class MemoryLeases:
    """`ports.LeaseStore`; shared by all simulated workers. `rows` is open to tests: it is the table itself. What is put
    into `unreadable` is no lease, whatever its row is."""

    def __init__(self, line: Line | None = None) -> None:
        self.rows: dict[str, Lease] = {}
        self._line = line or Line()
        self.unreadable: Collection[str] = ()

    async def scan(self, consistent: bool = False) -> list[Lease]:
        """See ports.LeaseStore."""
        rows = await self._line.call("Scan", lambda _: list(self.rows.values()))
        return [row for row in rows if row.shard_id not in self.unreadable]

    async def get(self, shard_id: str) -> Lease | None:
        """See ports.LeaseStore."""
        row = await self._line.call("GetItem", lambda _: self.rows.get(shard_id))
        if shard_id in self.unreadable:
            raise Retry(Side.STATE, f"the row of {shard_id} is no lease: mend it")
        return row

    async def create(self, lease: Lease) -> bool:
        """See ports.LeaseStore."""
        return await self._line.call("PutItem", lambda _: self._create(lease))

    async def update(self, update: Update) -> None:
        """See ports.LeaseStore."""
        await self._line.call("UpdateItem", lambda _: self._update(update))

    async def delete(self, lease: Lease) -> None:
        """See ports.LeaseStore."""
        await self._line.call("DeleteItem", lambda _: self._delete(lease))

    def _delete(self, lease: Lease) -> None:
        row = self.rows.get(lease.shard_id)
        if row is None or row.counter != lease.counter or not row.finished:
            raise ConditionFailed(f"the row of {lease.shard_id} is not as it was read")
        del self.rows[lease.shard_id]

    def _create(self, lease: Lease) -> bool:
        return self.rows.setdefault(lease.shard_id, lease) is lease

    def _update(self, update: Update) -> None:
        before, after = update.before, update.after
        row = self.rows.get(before.shard_id)
        if row is None:
            raise ConditionFailed(f"there is no row of {before.shard_id}")
        if (row.counter, row.owner) != (before.counter, before.owner):
            raise ConditionFailed(f"the row of {before.shard_id} is at {row.counter} of {row.owner}")
        if update.unless_finished and row.finished:
            raise ConditionFailed(f"the row of {before.shard_id} is finished")
        # Only what the update changes: a row may have attributes that `before` did not show.
        changed: dict[str, Any] = {
            name: getattr(after, name)
            for name in (attribute.name for attribute in fields(Lease))
            if getattr(after, name) != getattr(before, name)
        }
        self.rows[before.shard_id] = replace(row, **changed)


class MemoryGraph:
    """`state_ports.GraphStore`; workers of one task share `listings`, all that were ever written down."""

    def __init__(self, listings: list[Listing], line: Line | None = None) -> None:
        self._listings = listings
        self._line = line or Line()

    async def put_listing(self, listing: Listing) -> None:
        """See state_ports.GraphStore."""
        await self._line.call("PutItem", lambda _: self._listings.append(listing))

    async def head(self) -> GraphHead | None:
        """See state_ports.GraphStore."""
        return await self._line.call("GetItem", lambda _: self._head())

    async def listing(self, head: GraphHead) -> Listing:
        """See state_ports.GraphStore."""
        return await self._line.call("Query", lambda _: self._listings[head.number - 1])

    def _head(self) -> GraphHead | None:
        return GraphHead(len(self._listings), "", 1) if self._listings else None


class MemoryState:
    """`state_ports.StateStore`. Workers of one task share `rows`; another incarnation with the same rows sees none."""

    def __init__(
        self,
        incarnation: str = "first",
        line: Line | None = None,
        rows: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] | None = None,
    ) -> None:
        # (kind, id) -> (incarnation, attributes)
        self.rows = rows if rows is not None else {}
        self._incarnation = incarnation
        self._line = line or Line()

    async def beat(self, worker: str, row: WorkerRow, facts: Mapping[str, str | int]) -> None:
        """See state_ports.StateStore."""
        attributes = {**facts, "row": row}
        await self._line.call("PutItem", lambda _: self._put("worker", worker, attributes))

    async def workers(self) -> dict[str, WorkerRow]:
        """See state_ports.StateStore."""
        return await self._line.call("Query", lambda _: self._workers())

    async def beats(self) -> dict[str, int]:
        """See state_ports.StateStore."""
        return {worker: row.counter for worker, row in (await self.workers()).items()}

    async def workers_seen(self) -> list[WorkerSeen]:
        """See state_ports.StateStore."""
        return await self._line.call("Query", lambda _: self._workers_seen())

    async def retire(self, worker: str) -> None:
        """See state_ports.StateStore."""
        await self._line.call("DeleteItem", lambda _: self.rows.pop(("worker", worker), None))

    async def remember_pair(self, source_arn: str, destination_arn: str, moves: bool = True) -> PairAnswer:
        """See state_ports.StateStore."""
        return await self._line.call("PutItem", lambda _: self._remember_pair(source_arn, destination_arn, moves))

    async def put_duty(self, duty: Duty) -> None:
        """See state_ports.StateStore."""
        await self._line.call("PutItem", lambda _: self._put("duty", duty.id, {"duty": duty}))

    async def duties(self) -> list[Duty]:
        """See state_ports.StateStore."""
        return await self._line.call("Query", lambda _: [row["duty"] for row in self._current("duty").values()])

    async def claim_duty(self, duty: Duty, worker: str) -> Duty:
        """See state_ports.StateStore."""
        claimed = replace(duty, worker=worker, claim=duty.claim + 1)
        await self._line.call("PutItem", lambda _: self._claim(duty, claimed))
        return claimed

    async def remove_duty(self, duty: Duty) -> None:
        """See state_ports.StateStore."""
        await self._line.call("DeleteItem", lambda _: self._remove_duty(duty))

    def _claim(self, duty: Duty, claimed: Duty) -> None:
        if not self._is(duty):
            raise ConditionFailed(f"the duty {duty.id} is gone, or another worker's")
        self._put("duty", duty.id, {"duty": claimed})

    def _remove_duty(self, duty: Duty) -> None:
        if self._is(duty):
            del self.rows["duty", duty.id]

    def _is(self, duty: Duty) -> bool:
        row = self._current("duty").get(duty.id)
        return row is not None and (row["duty"].worker, row["duty"].claim) == (duty.worker, duty.claim)

    def _current(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Rows of a kind that belong to this incarnation, by id."""
        return {
            row_id: attributes
            for (row_kind, row_id), (incarnation, attributes) in self.rows.items()
            if row_kind == kind and incarnation == self._incarnation
        }

    def _put(self, kind: str, row_id: str, attributes: Mapping[str, Any]) -> None:
        self.rows[kind, row_id] = (self._incarnation, attributes)

    def _workers(self) -> dict[str, WorkerRow]:
        return {row_id: attributes["row"] for row_id, attributes in self._current("worker").items()}

    def _workers_seen(self) -> list[WorkerSeen]:
        return [_worker_seen(row_id, attributes) for row_id, attributes in self._current("worker").items()]

    def _remember_pair(self, source_arn: str, destination_arn: str, moves: bool) -> PairAnswer:
        incarnation, pair = self.rows.get(("task", "pair"), (self._incarnation, None))
        if pair is not None and (pair["source"], pair["destination"]) != (source_arn, destination_arn):
            return PairAnswer(False, pair["source"], pair["destination"], incarnation == self._incarnation)
        if pair is not None and not moves:
            return PairAnswer(True, source_arn, destination_arn, incarnation == self._incarnation)
        self._put("task", "pair", {"source": source_arn, "destination": destination_arn})
        return PairAnswer(True, source_arn, destination_arn)


def _worker_seen(worker: str, row: Mapping[str, Any]) -> WorkerSeen:
    texts = {name: str(row.get(name, "")) for name in ("host", "pid", "version", "command")}
    known = {name: fact for name, fact in row.items() if isinstance(fact, int) and name != "seenAt"}
    return WorkerSeen(worker, row["row"].counter, **texts, seen_at_ms=row.get("seenAt"), figures=known)
