"""What a worker says of itself in the state table, once a second."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """The heartbeat row, as far as other workers act on it."""

    counter: int
    # How long its leases last; None: it holds none and hands none over (a verify that mends, a copy at rest).
    lease_ms: int | None = None
    # Shards that it asks their owners for.
    wants: frozenset[str] = frozenset()
