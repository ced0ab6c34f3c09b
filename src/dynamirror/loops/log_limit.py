"""Keeps what repeats from flooding the log."""

from dynamirror.ports import Clock


class LogLimit:
    """One line in `every_s` for all who share it; the first at once."""

    def __init__(self, clock: Clock, every_s: float) -> None:
        self._clock = clock
        self._every_s = every_s
        self._last_s = float("-inf")

    def allows(self) -> bool:
        """Whether a line may be logged now; it counts as logged."""
        now_s = self._clock.boottime_s()
        if now_s - self._last_s < self._every_s:
            return False
        self._last_s = now_s
        return True
