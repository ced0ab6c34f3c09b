"""Until when a worker may send writes of a shard (P-9, P-10).

Nobody stops a request that has left. So the owner stops sending a margin before anybody may take its lease, and
proves every second that nobody has taken it early. All times are of the owner's own boot-time clock, taken before
the request that they are about was sent.
"""

from dataclasses import dataclass

NEVER = float("-inf")


class Permit:
    """Until when a request with writes of the shard may be sent; asked before every request."""

    __slots__ = ("until_s",)

    def __init__(self, until_s: float = NEVER) -> None:
        self.until_s = until_s

    def __repr__(self) -> str:
        return f"Permit({self.until_s})"


@dataclass(frozen=True, slots=True)
class Fence:
    """How long each sign of ownership allows sending."""

    # After a conditional write of the lease row, or a consistent reading of it: nobody has stolen the lease.
    proof_s: float
    # After the row's counter was moved: nobody may take the lease who judges the owner by its row.
    row_s: float
    # After a heartbeat: nobody may take it who judges the owner by its heartbeats. None: it sends none.
    beat_s: float | None

    def until_s(self, proven_at_s: float, written_at_s: float, beaten_at_s: float) -> float:
        """The end of the permit."""
        until_s = min(proven_at_s + self.proof_s, written_at_s + self.row_s)
        return until_s if self.beat_s is None else min(until_s, beaten_at_s + self.beat_s)
