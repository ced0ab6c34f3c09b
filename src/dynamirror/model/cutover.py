"""What a cut-over decides: whether the task is fit for one, and whether a stream is drained."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dynamirror.model.copy import Copy, Phase
from dynamirror.model.lease import Lease
from dynamirror.model.shard_graph import RETENTION_MS, Listing, Start, doubts_about, missing_leases


@dataclass(frozen=True, slots=True)
class View:
    """Stream and leases at one look. `unreadable`: shards whose rows say nothing."""

    listing: Listing
    leases: Mapping[str, Lease]
    unreadable: Collection[str] = ()

    @property
    def unfinished(self) -> list[Lease]:
        """The leases that are not at SHARD_END, by shard."""
        return sorted((row for row in self.leases.values() if not row.finished), key=lambda row: row.shard_id)

    def without_lease(self, now_ms: int, retention_ms: int = RETENTION_MS) -> list[str]:
        """Listed shards that have no row and were not completed before (P-19)."""
        rows = missing_leases(self.listing, self.leases, Start(), now_ms, self.unreadable, retention_ms)
        return [row.shard_id for row in rows]


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """One shard as the report has it. `last_sequence` None: the shard is open."""

    id: str
    last_sequence: str | None
    # None: completed before, and its row cleaned up.
    checkpoint: str | None


def shard_ends(view: View) -> list[ShardEnd]:
    """All listed shards."""
    rows = view.leases
    return [
        ShardEnd(shard.id, shard.last_sequence, rows[shard.id].checkpoint if shard.id in rows else None)
        for shard in sorted(view.listing.shards, key=lambda shard: shard.id)
    ]


def left_to_drain(view: View, duties: int, now_ms: int, retention_ms: int = RETENTION_MS) -> list[str]:
    """What keeps the drain from being exact, one line a kind; empty: every change is durable at the destination.

    An empty page proves nothing, a closed shard whose lease is at SHARD_END does.
    """
    kinds = (
        ("open", [shard.id for shard in view.listing.shards if shard.open]),
        ("without a lease", view.without_lease(now_ms, retention_ms)),
        ("with a lease that cannot be read", sorted(view.unreadable)),
        ("not applied to its end", [row.shard_id for row in view.unfinished]),
    )
    left = [f"{_shards(ids)} {what} ({ids[0]})" for what, ids in kinds if ids]
    if view.listing.enabled:
        left.insert(0, "the stream is still on")
    elif doubts := doubts_about(view.listing, now_ms, retention_ms):
        left.append(doubts[0])
    if duties:
        left.append(to_reconcile(duties))
    return left


def to_reconcile(duties: int) -> str:
    """Duties, in words."""
    items = "1 item waits" if duties == 1 else f"{duties:,} items wait"
    return (
        f"{items} to be reconciled (by a worker, or verify --repair; one that the destination refuses has to be mended "
        "first, the logs name it)"
    )


def copy_against(copy: Copy | None, *, whole_verify: bool) -> str | None:
    """Why the copy of the task forbids a cut-over; None: it does not."""
    if copy is None:
        return None
    if copy.phase is not Phase.OVER:
        return f"the task is still copying its table ({copy.phase.value}); cut over when the copy is over"
    if copy.needs_verify and not whole_verify:
        return (
            "the task's copy is not proven to be whole (its row in the state table: needsVerify); let the cut-over "
            "compare the whole tables with --verify full"
        )
    return None


# What was compared, by --verify.
COMPARED = {"full": "keys of both tables", "recent": "keys changed lately", "none": "keys"}


def against(verify: Mapping[str, Any], parked: int, gaps: int) -> str | None:
    """Why the writers should not be started at the destination, by what was compared; None: nothing speaks against it.

    Where anything was compared, so was every parked item: one whose row is only left over does no harm. One that was
    never seen in step is no proof of anything, and at rest nothing should move. A gap that is open still was found
    while the stream was drained, or nothing was compared since.
    """
    differing, unsettled = verify["differing"], verify.get("unsettled", 0)
    said = [f"{differing:,} of {verify['keys']:,} {COMPARED[verify['mode']]} differ"] if differing else []
    if unsettled:
        said.append(f"{unsettled:,} were never seen in step, so something still writes")
    if parked and verify["mode"] == "none":
        said.append(f"{parked:,} parked item{'s' if parked > 1 else ''} may be missing")
    if gaps:
        said.append(
            f"{gaps:,} gap{'s' if gaps > 1 else ''} of the stream opened meanwhile, see dynamirror verify --repair"
        )
    return ", ".join(said) or None


def _shards(ids: Collection[str]) -> str:
    return "1 shard" if len(ids) == 1 else f"{len(ids)} shards"
