"""What must hold of a copy: how much waits beside it, at every step, and what its segments have counted, at its end."""

from collections.abc import Iterator

from dynamirror.follow.hold import TOGETHER_S, Hold
from tests.sim.checks import Violated
from tests.sim.cloud import STATE, Cloud
from tests.sim.worker import Worker

# The first never joins another one, the last may have just begun.
DROPPED_MORE = 3


def check_held(worker: Worker) -> None:
    """What waits in memory, and what is remembered of the rest, stays within its bounds. Raises Violated."""
    budget = worker.held.budget
    if budget.used > budget.bytes_max:
        raise Violated(f"{worker.name} keeps {budget.used} bytes of changes that wait, {budget.bytes_max} are allowed")
    for hold in _holds(worker):
        kept = [held.page for held in hold._held if held.page is not None]
        dropped = len(hold._held) - len(kept)
        worker.cloud.counts["pages dropped"] += dropped > 0
        # A page that is kept parts what was dropped before from what was dropped after.
        if dropped > worker.hold.hold_s / TOGETHER_S + DROPPED_MORE + len(kept):
            raise Violated(f"{worker.name} remembers {dropped} places of changes that wait, beside {len(kept)} pages")


def check_copy(cloud: Cloud) -> None:
    """What was read was written, in each segment, and it took longer than the stream keeps changes, where that is the
    question. Raises Violated."""
    announced_s, over_s = cloud.copied_s
    cloud.counts["seconds of copying"] += int(over_s - announced_s)
    if cloud.service.retention_s is not None and over_s - announced_s <= cloud.service.retention_s:
        raise Violated(f"the copy took {over_s - announced_s:.0f} s only")
    rows = [row for row in cloud.database.items(STATE).values() if row["kind"]["S"] == "segment"]
    if not rows:
        raise Violated("the copy is over and has no segments")
    for row in rows:
        read, written, parked = (int(row[name]["N"]) for name in ("read", "written", "parked"))
        if not row["done"]["BOOL"] or read != written + parked:
            raise Violated(f"segment {row['id']['S']}: read {read}, written {written}, parked {parked}; {row['done']}")
        cloud.counts["items copied"] += read


def _holds(worker: Worker) -> Iterator[Hold]:
    tenures = worker.coordinator.tenures.values() if worker.coordinator is not None else ()
    for tenure in tenures:
        if tenure._shard is not None:
            yield tenure._shard._hold
