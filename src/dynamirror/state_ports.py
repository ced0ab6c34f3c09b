"""What is asked of the state table: the rows of a task that must never stand in its lease table (P-4).

`aws/` answers with the real table, `testing/` with an in-memory one. Errors as in ports.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from dynamirror.model.copy import Copy, Segment
from dynamirror.model.duty import Duty
from dynamirror.model.gap import OpenGap
from dynamirror.model.graph_row import GraphHead
from dynamirror.model.orders import Orders
from dynamirror.model.parked import Parked
from dynamirror.model.shard_graph import Listing
from dynamirror.model.shares import RateRow
from dynamirror.model.status import WorkerSeen
from dynamirror.model.verify import VerifyRun
from dynamirror.model.worker_row import WorkerRow


@dataclass(frozen=True, slots=True)
class PairAnswer:
    """What the task name stands for, as remembered. `ok`: it is the pair that was asked for."""

    ok: bool
    source_arn: str
    destination_arn: str
    # Remembered in this life of the task; False: in one whose lease table or stream is gone.
    current: bool = True


class StateStore(Protocol):
    """The state table: rows that must never stand in the lease table (P-4).

    All rows belong to one incarnation of the task (lease table's id, stream's ARN); others are ignored.
    """

    async def beat(self, worker: str, row: WorkerRow, facts: Mapping[str, str | int]) -> None:
        """Write a worker's heartbeat row. `facts` are for operators: host, process id, version, some figures."""

    async def workers(self) -> dict[str, WorkerRow]:
        """The heartbeat rows, read consistently."""

    async def beats(self) -> dict[str, int]:
        """Heartbeat counters of all workers, read consistently."""

    async def workers_seen(self) -> list[WorkerSeen]:
        """The heartbeat rows with all that they say, for operators, read consistently."""

    async def retire(self, worker: str) -> None:
        """Remove a worker's heartbeat row, after it has released its leases."""

    async def remember_pair(self, source_arn: str, destination_arn: str, moves: bool = True) -> PairAnswer:
        """Remember which two tables the task name stands for, unless it stands for others already. Idempotent.

        The pair outlives the incarnation: deleting the lease table restarts the task for the same two tables,
        and never turns its name into another task's unnoticed. What `moves` makes this incarnation the one that is
        followed (CopyStore.life_is_mine); without it only a missing row is written.
        """

    async def put_duty(self, duty: Duty) -> None:
        """Write a duty's row, whatever stood there. May be repeated until the duty is claimed or removed."""

    async def duties(self) -> list[Duty]:
        """All duties, read consistently."""

    async def claim_duty(self, duty: Duty, worker: str) -> Duty:
        """Make the duty the worker's; by the one that has it already it proves that nobody has taken it.

        Returns the duty as it stands now. Raises ConditionFailed when the row is gone or no longer as `duty` says,
        also after an earlier attempt whose answer was lost.
        """

    async def remove_duty(self, duty: Duty) -> None:
        """Remove the row if it is still as `duty` says; else it is somebody else's, or gone, which is no error."""


class CopyStore(Protocol):
    """The rows of a copy in the state table, each changed only if it still is as it was seen."""

    async def copy(self) -> Copy | None:
        """The task's copy, read consistently."""

    async def life_is_mine(self) -> bool:
        """Whether the task has not been begun anew since this incarnation of it, by its pair, read consistently."""

    async def put_copy(self, copy: Copy, before: Copy | None) -> None:
        """Raises ConditionFailed, also after an earlier attempt whose answer was lost."""

    async def segments(self) -> list[Segment]:
        """All segments that were made, read consistently, by number."""

    async def make_segment(self, segment: Segment) -> None:
        """Make the row unless it is there."""

    async def put_segment(self, segment: Segment, before: Segment) -> None:
        """Raises ConditionFailed as `put_copy`."""


class GapStore(Protocol):
    """Open gaps, in the state table."""

    async def open_gap(self, gap: OpenGap) -> None:
        """Write its row; one found again is written anew, and what began in between does not close it. Idempotent."""

    async def gaps(self) -> list[OpenGap]:
        """All that are open, read consistently."""

    async def close_gap(self, gap: OpenGap) -> bool:
        """Remove its row, unless it was written anew since; whether it is removed."""


class GraphStore(Protocol):
    """What one worker has listed of the stream's shards, for the others, in the state table."""

    async def put_listing(self, listing: Listing) -> None:
        """Write it down, with a number that moves each time."""

    async def head(self) -> GraphHead | None:
        """What is said of the last listing, read consistently; None: there was none in this life of the task."""

    async def listing(self, head: GraphHead) -> Listing:
        """The listing that the head is about. Raises Retry when it is being written anew."""


class ParkStore(Protocol):
    """Items that the destination refuses, in the state table; each row changed only as its version allows."""

    async def park(self, parked: Parked, image: bytes) -> bool:
        """Make image and row durable, in this order. False: a newer version of the item is parked, which stays.

        May be repeated, and may land late: it never replaces a newer version.
        """

    async def unpark(self, parked: Parked) -> bool:
        """Remove the row if it still has that version, and the image. False: it has not, or is gone."""

    async def rows(self) -> list[Parked]:
        """All rows, read consistently."""

    async def image(self, parked: Parked) -> bytes | None:
        """The item as it was refused, as JSON, read consistently; None: it is not there, or was a deletion."""


class OrderStore(Protocol):
    """The row of what the operator has ordered, of whatever life of the task."""

    async def orders(self) -> Orders:
        """What is in force, read consistently."""

    async def order(self, orders: Orders, before: Orders) -> None:
        """Put them in force. Raises ConditionFailed when others are in force than `before`, also after an earlier
        attempt whose answer was lost."""


class RateStore(Protocol):
    """What the workers of a task say to each other of their rates, in the state table."""

    async def put(self, row: RateRow) -> None:
        """Write a worker's row, whatever stood there."""

    async def rows(self) -> list[RateRow]:
        """All rows, read consistently."""

    async def remove(self, worker: str) -> None:
        """Remove a worker's row; no error when it is gone already."""


class VerifyStore(Protocol):
    """The row of a verify in the state table, changed only if it still is as it was seen."""

    async def run(self) -> VerifyRun | None:
        """The last run, over or not, read consistently."""

    async def put_run(self, run: VerifyRun, before: VerifyRun | None) -> None:
        """Raises ConditionFailed, also after an earlier attempt whose answer was lost."""
