"""What the demo tells: its progress while it runs, and its result."""

from dataclasses import asdict, dataclass
from typing import Any

from dynamirror.engines.demo.lag import Lag
from dynamirror.engines.traffic import Written
from dynamirror.model.diff import Comparison

SOURCE_REGION, DESTINATION_REGION = "us-east-1", "eu-west-1"
TABLE = "Orders"
TASK = "Demo"
# Accepted by either embedded database, known to nobody else. DynamoDB Local takes letters and digits only.
ACCESS_KEY, SECRET_KEY = "DYNAMIRRORDEMO", "demo"


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at the running demo."""

    phase: str
    elapsed_s: float
    written: Written
    # Changes read from the stream.
    read: int
    # Changes written to the destination; the rest of those read were replaced by newer ones of the same item.
    applied: int
    # Changes read a second, over the last moments.
    rate: float
    leases: int
    lag: Lag | None


@dataclass(frozen=True, slots=True)
class Result:
    """The end of the story. `seconds` is how long traffic was written."""

    database: str
    seconds: float
    progress: Progress
    comparison: Comparison
    # From the last write's acknowledgement to its sight at the destination.
    caught_up_s: float

    def as_json(self) -> dict[str, Any]:
        """The facts of `--json`; names are part of the interface."""
        compared, progress = self.comparison, self.progress
        return {
            "equal": compared.equal,
            "database": self.database,
            "seconds": round(self.seconds, 1),
            "written": asdict(progress.written) | {"total": progress.written.total},
            "read": progress.read,
            "applied": progress.applied,
            "caught_up_s": round(self.caught_up_s, 3),
            "lag_ms": None if progress.lag is None else _lag(progress.lag),
            "items": {"source": compared.source_items, "destination": compared.destination_items},
            "differences": {
                "missing": compared.missing,
                "extra": compared.extra,
                "changed": compared.changed,
                "first": [str(difference) for difference in compared.first],
            },
        }


def _lag(lag: Lag) -> dict[str, float]:
    return {"p50": round(lag.p50_ms, 1), "p99": round(lag.p99_ms, 1), "samples": lag.samples}
