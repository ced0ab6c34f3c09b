"""Why the last worker of a task ended that an error has ended: for operators (`dynamirror status`). Nothing is decided
by it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """One worker's end. `at_ms`: by the service's clock."""

    worker: str
    host: str
    pid: str
    at_ms: int
    exit_code: int
    why: str
