"""Rows of the lease table: from JSON, into JSON, and the expressions of their updates.

The form is KCL 1.7.5's (LeaseSerializer, KinesisClientLeaseSerializer); `xr_` attributes are ours and KCL keeps them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from dynamirror.aws.wire import Row, Value, n, s
from dynamirror.model.lease import SENTINELS, SHARD_END, Lease, Terms, Update

# KCL reads numbers into a signed 64-bit integer; what does not fit stops every Java worker's scan.
INTEGER_MAX = 2**63 - 1

_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_SEQUENCE_NUMBER = re.compile(r"[0-9]{1,40}", re.ASCII)
# Real ids are `shardId-<20 digits>-<8 hex digits>`; other implementations keep the prefix.
_SHARD_ID = re.compile(r"shardId-[A-Za-z0-9_.-]{1,57}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A row, by its key, that is not as KCL writes it, and why."""

    key: str
    why: str


# The lease in a row, where one is, and what is wrong with the row.
RowRead: TypeAlias = tuple[Lease | None, list[Wrong]]


class _Wrong(Exception):
    """What is wrong with an attribute."""


def key_of(row: Row) -> str:
    """The key of a row, whatever it looks like."""
    return str(next(iter(row.get("leaseKey", {"S": "without leaseKey"}).values()), ""))


def is_shard_id(key: str) -> bool:
    """Whether a row with this key may be a shard's."""
    return _SHARD_ID.fullmatch(key) is not None


def read_row(row: Row) -> RowRead:
    """The lease in a row and what is wrong with the row.

    None where KCL could not use the row either (P-5). A fault in an attribute of ours only voids that attribute,
    as if a Java worker had written the row: a lease left out would be a shard that nobody reads.
    """
    key = key_of(row)
    try:
        lease = _lease(row)
    except _Wrong as wrong:
        return None, [Wrong(key, str(wrong))]
    own, wrongs = {}, []
    for field, name, read in _OWN:
        if name in row:
            try:
                own[field] = read(row, name)
            except _Wrong as wrong:
                wrongs.append(Wrong(key, str(wrong)))
    return replace(lease, **own) if own else lease, wrongs


def create_request(lease: Lease) -> Mapping[str, Any]:
    """PutItem without its table: the full row with all that is mandatory for KCL, unless there is one."""
    row: dict[str, Value] = {
        "leaseKey": s(lease.shard_id),
        "leaseCounter": n(lease.counter),
        "ownerSwitchesSinceCheckpoint": n(lease.owner_switches),
        "checkpoint": s(lease.checkpoint),
        "checkpointSubSequenceNumber": n(0),
    }
    if lease.owner is not None:
        row["leaseOwner"] = s(lease.owner)
    if lease.parent_ids:
        row["parentShardId"] = {"SS": list(lease.parent_ids)}
    return {
        "Item": row | _own(lease),
        "ConditionExpression": "attribute_not_exists(#leaseKey)",
        "ExpressionAttributeNames": {"#leaseKey": "leaseKey"},
    }


def update_request(update: Update) -> Mapping[str, Any]:
    """UpdateItem without its table: what differs between `before` and `after`, on the condition of `before`.

    The condition demands a counter, which a row that is not there does not have: no update creates a row.
    """
    before, after = update.before, update.after
    assert before.shard_id == after.shard_id, "an update moves no lease to another shard"
    assert before.parent_ids == after.parent_ids, "parents are written on creation only"
    expression = _Expression()
    expression.demand("leaseCounter", n(before.counter))
    expression.demand("leaseOwner", s(before.owner) if before.owner is not None else None)
    if update.unless_finished:
        expression.demand_not("checkpoint", s(SHARD_END))
    expression.set("leaseCounter", n(after.counter))
    if before.owner != after.owner:
        expression.put("leaseOwner", s(after.owner) if after.owner is not None else None)
    if before.checkpoint != after.checkpoint:
        expression.set("checkpoint", s(after.checkpoint))
        # KCL takes SHARD_END with another sub-sequence number for an open shard.
        expression.set("checkpointSubSequenceNumber", n(0))
        expression.set("ownerSwitchesSinceCheckpoint", n(after.owner_switches))
    elif before.owner_switches + 1 == after.owner_switches:
        expression.add("ownerSwitchesSinceCheckpoint", n(1))
    elif before.owner_switches != after.owner_switches:
        expression.set("ownerSwitchesSinceCheckpoint", n(after.owner_switches))
    old, new = _own(before), _own(after)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            expression.put(name, new.get(name))
    return {"Key": {"leaseKey": s(before.shard_id)}, **expression.request()}


def delete_request(lease: Lease) -> Mapping[str, Any]:
    """DeleteItem without its table: only of a finished row, that nobody has written to since."""
    expression = _Expression()
    expression.demand("leaseCounter", n(lease.counter))
    expression.demand("checkpoint", s(SHARD_END))
    return {"Key": {"leaseKey": s(lease.shard_id)}, **expression.request(updates=False)}


def _own(lease: Lease) -> dict[str, Value]:
    """Our attributes."""
    own: dict[str, Value] = {}
    if lease.start_at_ms is not None:
        own["xr_startAt"] = n(lease.start_at_ms)
    if lease.since_ms is not None:
        own["xr_since"] = n(lease.since_ms)
    if lease.gap_behind is not None:
        own["xr_gapBehind"] = s(lease.gap_behind)
    if lease.clean_counter is not None:
        own["xr_clean"] = n(lease.clean_counter)
    if lease.unsettled:
        own["xr_unsettled"] = n(1)
    if lease.applied_to_ms is not None:
        own["xr_appliedTo"] = n(lease.applied_to_ms)
    if lease.terms is not None:
        own["xr_for"] = s(lease.terms.worker)
        own["xr_leaseMs"] = n(lease.terms.duration_ms)
        own["xr_hb"] = n(int(lease.terms.heartbeat))
    return own


class _Expression:
    """An update expression in the making. Every attribute goes by a placeholder: `#name`, and `:name` for its value."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Value] = {}
        self._conditions: list[str] = []
        self._parts: dict[str, list[str]] = {"SET": [], "REMOVE": [], "ADD": []}

    def demand(self, name: str, value: Value | None) -> None:
        """The attribute has this value; None: it is not there."""
        if value is None:
            self._conditions.append(f"attribute_not_exists({self._name(name)})")
        else:
            self._conditions.append(f"{self._name(name)} = {self._value('seen_' + name, value)}")

    def demand_not(self, name: str, value: Value) -> None:
        """The attribute does not have this value."""
        self._conditions.append(f"{self._name(name)} <> {self._value('not_' + name, value)}")

    def set(self, name: str, value: Value) -> None:
        """The attribute shall have this value."""
        self._parts["SET"].append(f"{self._name(name)} = {self._value(name, value)}")

    def put(self, name: str, value: Value | None) -> None:
        """The attribute shall have this value; None: it shall not be there."""
        if value is None:
            self._parts["REMOVE"].append(self._name(name))
        else:
            self.set(name, value)

    def add(self, name: str, value: Value) -> None:
        """The number shall grow by `value`."""
        self._parts["ADD"].append(f"{self._name(name)} {self._value(name, value)}")

    def request(self, updates: bool = True) -> Mapping[str, Any]:
        """The expressions with their names and values."""
        update = " ".join(f"{verb} {', '.join(parts)}" for verb, parts in self._parts.items() if parts)
        return {
            **({"UpdateExpression": update} if updates else {}),
            "ConditionExpression": " AND ".join(self._conditions),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
        }

    def _name(self, name: str) -> str:
        self._names["#" + name] = name
        return "#" + name

    def _value(self, placeholder: str, value: Value) -> str:
        self._values[":" + placeholder] = value
        return ":" + placeholder


def _lease(row: Row) -> Lease:
    shard_id = _text(row, "leaseKey")
    if not is_shard_id(shard_id):
        raise _Wrong("leaseKey is no shard id")
    if "entityType" in row and row["entityType"] != s("LEASE"):
        raise _Wrong("entityType is not LEASE")
    if "checkpointSubSequenceNumber" in row and _integer(row, "checkpointSubSequenceNumber") != 0:
        raise _Wrong("checkpointSubSequenceNumber is not 0, which no consumer of a DynamoDB stream writes")
    checkpoint = _text(row, "checkpoint")
    if checkpoint not in SENTINELS and not _SEQUENCE_NUMBER.fullmatch(checkpoint):
        raise _Wrong("checkpoint is neither a sequence number nor one of " + ", ".join(sorted(SENTINELS)))
    return Lease(
        shard_id,
        checkpoint,
        owner=_text(row, "leaseOwner") if "leaseOwner" in row else None,
        counter=_integer(row, "leaseCounter"),
        owner_switches=_integer(row, "ownerSwitchesSinceCheckpoint"),
        parent_ids=_texts(row, "parentShardId") if "parentShardId" in row else (),
    )


def _terms(row: Row, name: str) -> Terms:
    duration_ms = _integer(row, "xr_leaseMs")
    if duration_ms <= 0:
        raise _Wrong("xr_leaseMs is not positive")
    return Terms(_text(row, name), duration_ms, _integer(row, "xr_hb") == 1)


def _text(row: Row, name: str) -> str:
    match row.get(name):
        case {"S": str(text)} if text:
            return text
        case None:
            raise _Wrong(f"{name} is missing")
        case _:
            raise _Wrong(f"{name} is no string with something in it")


def _integer(row: Row, name: str) -> int:
    match row.get(name):
        case {"N": str(text)} if _INTEGER.fullmatch(text) and abs(int(text)) <= INTEGER_MAX:
            return int(text)
        case None:
            raise _Wrong(f"{name} is missing")
        case _:
            raise _Wrong(f"{name} is no integer of 64 bits")


def _texts(row: Row, name: str) -> tuple[str, ...]:
    match row.get(name):
        case {"SS": [*texts]} if texts and all(isinstance(text, str) for text in texts):
            return tuple(sorted(texts))
        case _:
            raise _Wrong(f"{name} is no set of strings")


# Our attributes: of the lease, of the row, and how one that is there is read.
_OWN: tuple[tuple[str, str, Callable[[Row, str], Any]], ...] = (
    ("terms", "xr_for", _terms),
    ("start_at_ms", "xr_startAt", _integer),
    ("since_ms", "xr_since", _integer),
    ("gap_behind", "xr_gapBehind", _text),
    ("clean_counter", "xr_clean", _integer),
    ("unsettled", "xr_unsettled", lambda row, name: _integer(row, name) != 0),
    ("applied_to_ms", "xr_appliedTo", _integer),
)
