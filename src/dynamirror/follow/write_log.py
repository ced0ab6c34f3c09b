"""What the log and the figures say of writes that were not written, or perhaps not."""

import logging
from collections.abc import Sequence

from dynamirror.errors import Retry, Throttled
from dynamirror.follow.send import ApplyTools, Outcome, Pending
from dynamirror.loops.log_limit import LogLimit

RETRY_LOG_EVERY_S = 10.0

log = logging.getLogger("dynamirror.apply")


class WriteLog:
    """One applier's."""

    def __init__(self, tools: ApplyTools) -> None:
        self._tools = tools
        self._limit = LogLimit(tools.clock, RETRY_LOG_EVERY_S)

    def retried(self, failed: Sequence[Pending], attempt: int, error: Retry | None, delay_s: float) -> None:
        """These are sent again after a pause."""
        self._tools.metrics.count("write_retries", len(failed))
        if error is None or isinstance(error, Throttled):
            self._tools.metrics.count("write_throttles")
            # Further attempts may be for one item, in a partition that others use.
            if self._tools.rate is not None and not all(pending.attempts for pending in failed):
                self._tools.rate.throttled_writing()
        if not self._limit.allows():
            return
        log.warning(
            "%d changes not written yet: %s; trying again",
            len(failed),
            error or "the destination left them unprocessed (throttled)",
            extra={
                "event": "write_retry",
                "facts": {"changes": len(failed), "attempt": attempt, "delay_s": round(delay_s, 3)},
            },
        )

    def doubtful(self, outcome: Outcome, wait_s: float) -> None:
        """These wait until nothing of them can land any more."""
        self._tools.metrics.count("changes_doubtful", len(outcome.doubtful))
        if not self._limit.allows():
            return
        log.warning(
            "%d changes may have been written or not: %s; their items wait %.0f s for the request to land or not",
            len(outcome.doubtful),
            outcome.error,
            wait_s,
            extra={"event": "write_doubt", "facts": {"changes": len(outcome.doubtful), "wait_s": round(wait_s, 1)}},
        )
