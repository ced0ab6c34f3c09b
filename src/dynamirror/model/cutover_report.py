"""The report of a cut-over as a document: whole numbers only, so that its digest can be made anew by other means."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from dynamirror.model.cutover import ShardEnd, View, shard_ends
from dynamirror.model.parked import Parked

EXACT = "the stream is off, every shard is closed, and every lease is at SHARD_END"
OPEN = "not proven: the stream is still open"


@dataclass(frozen=True, slots=True)
class StepTime:
    """One step that was done."""

    step: str
    began_ms: int
    took_ms: int
    said: str


@dataclass(slots=True)
class Findings:
    """What the steps have found so far."""

    lag_s: float | None = None
    drained: View | None = None
    exact: bool = False
    # When the drain was over, by the service's clock.
    drained_ms: int = 0
    # After the drain: the destination has refused these.
    parked: Sequence[Parked] = ()
    # Open when all was done.
    gaps: int = 0
    verify: Mapping[str, Any] = field(default_factory=dict)
    reverse: Mapping[str, Any] | None = None


def with_digest(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its digest."""
    return {**document, "digest": digest_of(document)}


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON (keys sorted, no white space, UTF-8) of the document without its digest."""
    bare = {name: value for name, value in document.items() if name != "digest"}
    return sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()


def steps_of(times: Iterable[StepTime]) -> list[dict[str, Any]]:
    """Each step's times."""
    return [
        {"step": time.step, "began": moment(time.began_ms), "took_ms": time.took_ms, "result": time.said}
        for time in times
    ]


def drain_of(found: Findings) -> dict[str, Any]:
    """Whether the drain is exact, and what of."""
    ends: list[ShardEnd] = shard_ends(found.drained) if found.drained is not None else []
    return {
        "exact": found.exact,
        "proof": EXACT if found.exact else OPEN,
        "ended": moment(found.drained_ms),
        "shards": [asdict(end) for end in ends],
    }


def parked_of(found: Findings) -> list[dict[str, Any]]:
    """The parked items, as `parked list` names them."""
    return [{"id": parked.id, "key": parked.key, "error": parked.error} for parked in found.parked]


def moment(at_ms: int) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
