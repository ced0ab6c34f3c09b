"""Gaps: parts of the stream that nobody can read any more and that the task had not applied (docs/decisions/0014)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

# In place of a place: everything of a whole stream was read, and what came after is in another one.
STREAM_END = "STREAM_END"
# The same, and the source table itself was made anew: what it lacks is for a person to delete at the destination.
TABLE_END = "TABLE_END"


class OnGap(Enum):
    """What a worker does at a gap (--on-gap)."""

    STOP = "stop"
    CONTINUE = "continue"
    RECONCILE = "reconcile"


@dataclass(frozen=True, slots=True)
class OpenGap:
    """Changes of the source that may be missing at the destination, of keys that nobody knows, until it is closed.

    It is closed by a comparison of the whole tables, with repair, that began after the row of it was written (R-11).
    """

    # Or, with STREAM_END or TABLE_END, the labels of both streams.
    shard_id: str
    # The checkpoint, or the last change that was read before it.
    behind: str
    what: str
    # By the service's clock, when it was found: what is missing was changed before.
    found_at_ms: int
    worker: str

    @property
    def id(self) -> str:
        """The row's id: whoever finds the same gap again, after a crash, has the same."""
        return f"{self.shard_id}/{self.behind}"

    @property
    def occasion(self) -> str:
        """Names this writing of the row: one that was found again since is not closed by what began before."""
        return f"{self.id}@{self.found_at_ms}"

    @property
    def for_a_person(self) -> bool:
        """No task may close it by itself, whatever other gaps are open: it would delete what the new table lacks."""
        return self.behind == TABLE_END

    def __str__(self) -> str:
        if self.behind in (STREAM_END, TABLE_END):
            return self.what
        return f"{self.what} (shard {self.shard_id}, read up to {self.behind})"


def is_first(me: str, before: Mapping[str, int], beats: Mapping[str, int]) -> bool:
    """Whether `me` is the first by name of the workers whose heartbeats have moved since `before`; rows of workers that
    crashed stay. One that was not there before counts: the next look tells."""
    return me == min((worker for worker, beat in beats.items() if before.get(worker) != beat), default=me)
