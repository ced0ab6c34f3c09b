"""What was written by whom, read out of the bench's journal; and what must hold whoever holds the leases.

I1  the destination ends as the source
I2  nobody writes for a key any more once the next owner has begun to, but to mend it, and nobody's own images go back
    in time
I3  the checkpoint of a shard never decreases, and SHARD_END is final
I4  every row of the lease table has the attributes, of the types, that KCL cannot do without
I5  no scan of the lease table and no sync of shards of a KCL worker fails
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any

from tests.bench.journal import Entry, Journal

JAVA, PYTHON = "java", "dynamirror"
SENTINELS = {"TRIM_HORIZON": -2, "LATEST": -1}
MANDATORY = {
    "leaseKey": "S",
    "leaseCounter": "N",
    "checkpoint": "S",
    "checkpointSubSequenceNumber": "N",
    "ownerSwitchesSinceCheckpoint": "N",
}
OPTIONAL = {"leaseOwner": "S", "parentShardId": "SS"}

_SET = re.compile(r"([#\w]+)\s*=\s*(:\w+)")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """One item written to the destination. `serial` is None for a delete. `mends`: on the condition of what was read
    there, by whoever reconciles the item, and not as the owner of its shard."""

    at_s: float
    writer: str
    key: str
    serial: int | None
    mends: bool = False


@dataclass(frozen=True, slots=True)
class LeaseWrite:
    """One write of a lease row that was carried out: the attributes that it sets, by name, as text."""

    at_s: float
    writer: str
    shard: str
    sets: dict[str, str]
    creates: bool


class Facts:
    """The journal by the meaning of its entries. `writers`: JAVA or PYTHON by access key."""

    def __init__(self, journal: Journal, writers: dict[str, str], destination: str, leases: str) -> None:
        self._journal = journal
        self._writers = writers
        self._destination = destination
        self._leases = leases

    def writes(self, writer: str | None = None) -> list[Write]:
        """What was written to the destination, in the order in which it was carried out."""
        found = [
            write
            for entry in self._carried_out(self._destination)
            for write in _written(entry, self._writers[entry.call.access_key])
            if writer in (None, write.writer)
        ]
        return sorted(found, key=lambda write: write.at_s)

    def lease_writes(self, writer: str | None = None, leases: str | None = None) -> list[LeaseWrite]:
        """What was written to the rows of the lease table, in order."""
        found = []
        for entry in self._carried_out(leases or self._leases):
            body, who = json.loads(entry.call.body), self._writers[entry.call.access_key]
            if entry.operation == "PutItem" and "leaseKey" in body["Item"]:
                sets = {name: _text(value) for name, value in body["Item"].items()}
                found.append(LeaseWrite(entry.performed_at_s or 0.0, who, sets["leaseKey"], sets, creates=True))
            elif entry.operation == "UpdateItem":
                shard = body["Key"]["leaseKey"]["S"]
                found.append(LeaseWrite(entry.performed_at_s or 0.0, who, shard, _sets(body), creates=False))
        found.sort(key=lambda write: write.at_s)
        return [write for write in found if writer in (None, write.writer)]

    def takes(self, writer: str, since_s: float = 0.0) -> list[LeaseWrite]:
        """Leases that a writer took (or made with itself as owner)."""
        return [write for write in self.lease_writes(writer) if "leaseOwner" in write.sets and write.at_s >= since_s]

    def checkpoint_at(self, take: LeaseWrite) -> str:
        """Where the row of a shard stood when it was taken."""
        before = [w for w in self.lease_writes() if w.shard == take.shard and w.at_s < take.at_s]
        return next(w.sets["checkpoint"] for w in reversed(before) if "checkpoint" in w.sets)

    def first_scan_s(self, writer: str) -> float:
        """When a writer first looked at the lease table."""
        scans = self._journal.of("Scan", self._leases)
        return min(entry.at_s for entry in scans if self._writers[entry.call.access_key] == writer)

    def reads_s(self, shard: str) -> list[float]:
        """When pages of a shard were asked for by anybody, in order."""
        return sorted(entry.at_s for entry in self._journal.of("GetRecords") if entry.call.shard == shard)

    def first_read_s(self, shard: str) -> float:
        """When the first page of a shard was asked for by anybody."""
        return self.reads_s(shard)[0]

    def ended_by(self, shard: str) -> LeaseWrite:
        """Who wrote the shard's SHARD_END."""
        return next(w for w in self.lease_writes() if w.shard == shard and w.sets.get("checkpoint") == "SHARD_END")

    def tables_of(self, writer: str) -> set[str]:
        """The tables that a writer's requests named."""
        return {e.call.table for e in list(self._journal.entries) if self._writers[e.call.access_key] == writer}

    def _carried_out(self, table: str) -> Iterator[Entry]:
        for entry in list(self._journal.entries):
            if entry.call.table == table and entry.call.writes and entry.performed_at_s and entry.status == 200:
                yield entry


def refuse_interleaving(writes: Iterable[Write], tenures_max: int) -> None:
    """I2. `tenures_max`: how many owners one after the other a key's shard (and its parents) may have had."""
    by_key: dict[str, list[Write]] = defaultdict(list)
    for write in writes:
        by_key[write.key].append(write)
    for key, those in by_key.items():
        applied = [write for write in those if not write.mends]
        tenures = [(writer, list(group)) for writer, group in groupby(applied, key=lambda write: write.writer)]
        told = [(writer, [write.serial for write in group]) for writer, group in tenures]
        assert len(tenures) <= tenures_max, f"{key}: writers take turns: {told}"
        for writer, group in tenures:
            serials = [write.serial for write in group if write.serial is not None]
            assert serials == sorted(serials), f"{key}: {writer} went back in time: {serials}"
        refuse_older_mends(key, those)


def refuse_older_mends(key: str, writes: Iterable[Write]) -> None:
    """What mends brings what the source has, so nothing older than what was there before."""
    newest = -1
    for write in writes:
        serial = write.serial if write.serial is not None else newest
        assert not write.mends or serial >= newest, f"{key}: mended with {serial}, after {newest}"
        newest = max(newest, serial)


def refuse_lost_progress(writes: Iterable[LeaseWrite]) -> None:
    """I3. A row that is made anew counts too."""
    by_shard: dict[str, list[LeaseWrite]] = defaultdict(list)
    for write in writes:
        if "checkpoint" in write.sets:
            by_shard[write.shard].append(write)
    for shard, those in by_shard.items():
        for one, other in pairwise(those):
            before, after = one.sets["checkpoint"], other.sets["checkpoint"]
            assert position(before) <= position(after), f"{shard}: from {before} back to {after}, by {other.writer}"


def refuse_bad_rows(rows: Iterable[Row]) -> None:
    """I4."""
    for row in rows:
        key = row.get("leaseKey")
        assert key is not None, row
        for name, kind in MANDATORY.items():
            assert set(row.get(name, {})) == {kind}, f"{key}: {name} is {row.get(name)}"
        for name, kind in OPTIONAL.items():
            assert name not in row or set(row[name]) == {kind}, f"{key}: {name} is {row[name]}"
        assert row["checkpointSubSequenceNumber"] == {"N": "0"}, row
        position(row["checkpoint"]["S"])


def position(checkpoint: str) -> float:
    """Checkpoints in their order. Raises ValueError for one that KCL does not know."""
    if checkpoint == "SHARD_END":
        return float("inf")
    return SENTINELS[checkpoint] if checkpoint in SENTINELS else int(checkpoint)


def _written(entry: Entry, writer: str) -> Iterator[Write]:
    body, at_s = json.loads(entry.call.body), entry.performed_at_s or 0.0
    if entry.operation == "BatchWriteItem":
        for request in next(iter(body["RequestItems"].values())):
            put = request.get("PutRequest", {}).get("Item")
            yield _write(at_s, writer, put or request["DeleteRequest"]["Key"], put is not None)
    else:
        put = body.get("Item")
        written = _write(at_s, writer, put or body["Key"], put is not None)
        yield replace(written, mends="ConditionExpression" in body)


def _write(at_s: float, writer: str, item: Row, put: bool) -> Write:
    return Write(at_s, writer, item["pk"]["S"], int(item["serial"]["N"]) if put else None)


def _sets(body: Row) -> dict[str, str]:
    """Of an UpdateItem, in KCL's form or ours."""
    if "AttributeUpdates" in body:
        updates = body["AttributeUpdates"]
        return {name: _text(update["Value"]) for name, update in updates.items() if "Value" in update}
    names, values = body["ExpressionAttributeNames"], body["ExpressionAttributeValues"]
    found = _SET.findall(body["UpdateExpression"])
    return {names[name]: _text(values[value]) for name, value in found if value in values}


def _text(value: Row) -> str:
    [content] = value.values()
    return str(content)
