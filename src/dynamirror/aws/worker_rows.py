"""A heartbeat row of the state table, as operators see it. What a version does not know may be missing."""

from dynamirror.aws.wire import Row
from dynamirror.model.status import WorkerSeen


def worker_of(row: Row) -> WorkerSeen:
    """What the row says. Its id is there, being a part of the key."""
    numbers = {
        name: int(number) for name, value in row.items() if (number := str(value.get("N", ""))).lstrip("-").isdecimal()
    }
    own = {"schema", "beat", "seenAt", "leaseMs"}
    return WorkerSeen(
        row["id"]["S"],
        numbers.get("beat", 0),
        **{name: str(row.get(name, {}).get("S", "")) for name in ("host", "pid", "version", "command")},
        seen_at_ms=numbers.get("seenAt"),
        figures={name: number for name, number in numbers.items() if name not in own},
    )
