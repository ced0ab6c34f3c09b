"""Changes older than the start that the operator named (--start-at) are skipped: a prefix of each lineage only.

Time stamps are rounded down and not monotone. So the line lies a slack before the named start, the first
record over the line, or without a stamp, ends skipping for good, and that fact stands on the lease row (E-3, E-4,
R-12).
Skipping less is always safe: older changes are applied again and the newest image still stands at the end.
"""

from collections.abc import Sequence

from dynamirror.model.change import Record

# Rounding (a minute on DynamoDB Local, a second on the service) plus clock skew.
SLACK_S = 120.0


class Skip:
    """Decides page by page; `in_force` while every record so far was skipped."""

    def __init__(self, start_at_ms: int | None) -> None:
        self._line_s = None if start_at_ms is None else start_at_ms / 1000 - SLACK_S

    @property
    def in_force(self) -> bool:
        """Nothing of the shard was wanted yet."""
        return self._line_s is not None

    def wanted(self, records: Sequence[Record]) -> Sequence[Record]:
        """The records from the first wanted one on; in stream order."""
        if self._line_s is None:
            return records
        for index, record in enumerate(records):
            if record.change.created_s >= self._line_s or not record.change.created_s:
                self._line_s = None
                return records[index:]
        return ()
