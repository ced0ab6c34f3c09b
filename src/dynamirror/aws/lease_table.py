"""The lease table of KCL 1.7.5: the only file that writes its rows (docs/LEASES.md).

Java workers share the table. What they need is kept by construction: every row has their mandatory attributes,
every write but the create demands the counter that was read, no row but a shard's is ever written.
"""

import logging
from collections.abc import Collection, Iterable, Mapping

from dynamirror.aws.lease_rows import (
    RowRead,
    Wrong,
    create_request,
    delete_request,
    is_shard_id,
    read_row,
    update_request,
)
from dynamirror.aws.wire import Caller, encode, get_row, raw_rows, read_raw, s
from dynamirror.errors import ConditionFailed, Retry, Side
from dynamirror.model.lease import Lease, Update

log = logging.getLogger("dynamirror.leases")


# Rows reported by one worker; beyond, something else uses the table and more lines do not help.
REPORTS_MAX = 1000


class LeaseTable:
    """The lease table as `ports.LeaseStore`."""

    def __init__(self, caller: Caller, name: str) -> None:
        self._caller = caller
        self._name = name
        # Rows that are no leases, by key, with what is wrong; each is reported once.
        self._reported: dict[str, str] = {}
        # What the last scan read, by row as it was sent: few of thousands have changed in the next.
        self._read: dict[bytes, RowRead] = {}
        self.unreadable: Collection[str] = ()

    @property
    def foreign(self) -> Mapping[str, str]:
        """Rows that are not as KCL writes them, so far as they were read: key -> what is wrong."""
        return self._reported

    async def scan(self, consistent: bool = False) -> list[Lease]:
        """See ports.LeaseStore. Raises Stop when the pages never end."""
        request = {"TableName": self._name, **({"ConsistentRead": True} if consistent else {})}
        what, before = f"Scan of the lease table {self._name}", self._read
        found: dict[bytes, RowRead] = {}
        async for raw in raw_rows(self._caller, "Scan", request, what):
            found[raw] = before.get(raw) or read_row(read_raw(self._caller, raw, what))
        self._read = found
        lost = (wrong.key for lease, wrongs in found.values() if lease is None for wrong in wrongs)
        self.unreadable = {key for key in lost if is_shard_id(key)}
        return self._leases(found.values())

    async def get(self, shard_id: str) -> Lease | None:
        """See ports.LeaseStore."""
        request = {"TableName": self._name, "Key": {"leaseKey": s(shard_id)}}
        row = await get_row(self._caller, request, f"GetItem of {shard_id} in the lease table {self._name}")
        if row is None:
            return None
        found = self._leases([read_row(row)])
        if not found:
            # Not None: a child whose parent's row is not there may be read at once.
            raise Retry(Side.STATE, f"the row of {shard_id} in the lease table {self._name} is no lease: mend it")
        return found[0]

    async def create(self, lease: Lease) -> bool:
        """See ports.LeaseStore."""
        try:
            await self._caller.call("PutItem", encode({"TableName": self._name, **create_request(lease)}))
        except ConditionFailed:
            return False
        return True

    async def update(self, update: Update) -> None:
        """See ports.LeaseStore. One attempt: after Unanswered, only reading the row tells whether it was applied."""
        await self._caller.call("UpdateItem", encode({"TableName": self._name, **update_request(update)}))

    async def delete(self, lease: Lease) -> None:
        """See ports.LeaseStore."""
        await self._caller.call("DeleteItem", encode({"TableName": self._name, **delete_request(lease)}))

    def _leases(self, rows: Iterable[RowRead]) -> list[Lease]:
        leases = []
        for lease, wrongs in rows:
            for wrong in wrongs:
                self._report(wrong, "the row is left out" if lease is None else "the attribute is ignored")
            if lease is not None:
                leases.append(lease)
        return leases

    def _report(self, wrong: Wrong, what_now: str) -> None:
        if self._reported.get(wrong.key) == wrong.why or len(self._reported) >= REPORTS_MAX:
            return
        self._reported[wrong.key] = wrong.why
        log.error(
            "lease table %s, row %s: %s; %s (mend it, or delete it if its key is no shard: it may stop Java workers)",
            self._name,
            wrong.key,
            wrong.why,
            what_now,
            extra={"event": "lease_row_refused", "facts": {"key": wrong.key, "why": wrong.why}},
        )
