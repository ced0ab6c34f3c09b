"""Why the last worker ended that an error has ended, in the state table: one row of the task's name, whatever its life.

Whoever fails last has it, so it is as small with a thousand workers as with one.
"""

from dynamirror.aws.state_rows import TASK, Incarnation, StateRows
from dynamirror.aws.wire import Caller, Row, n, s
from dynamirror.model.failure import Failure

FAILED = "failed"
# An item of DynamoDB has 400 KB; a line that is longer helps nobody.
WHY_MAX = 2000


class FailureRows:
    """One task's. `incarnation` is only what the row names."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._rows = StateRows(caller, name, incarnation)

    async def put(self, failure: Failure) -> None:
        """Write it over the one before. Idempotent. Raises Retry, Stop."""
        row = {
            "worker": s(failure.worker),
            "host": s(failure.host),
            "pid": s(failure.pid),
            "atMs": n(failure.at_ms),
            "exitCode": n(failure.exit_code),
            "why": s(failure.why[:WHY_MAX]),
        }
        await self._rows.put(TASK, FAILED, row)

    async def last(self) -> Failure | None:
        """Read consistently. None: none has failed, or its row cannot be read. Raises Retry, Stop."""
        row = await self._rows.row_of_any_schema(TASK, FAILED)
        try:
            return _failure_of(row) if row is not None else None
        except (KeyError, TypeError, ValueError):
            return None


def _failure_of(row: Row) -> Failure:
    return Failure(
        row["worker"]["S"],
        row["host"]["S"],
        row["pid"]["S"],
        int(row["atMs"]["N"]),
        int(row["exitCode"]["N"]),
        row["why"]["S"],
    )
