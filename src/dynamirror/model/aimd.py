"""The rate that a table bears, found by its throttles: additive increase, multiplicative decrease.

Whoever else uses the table keeps a share so: all that back off alike end at equal parts (Chiu and Jain, 1989).
"""

from dynamirror.model.rate import UNLIMITED

DECREASE = 0.7
# One decrease for all requests that were under way when the table had enough.
DECREASE_EVERY_S = 1.0
# Of the reference, a second. Above it the steps grow: the table can do more than was known of it.
INCREASE = 0.05
# The reference of the smallest tables, so that the way up is not endless.
REFERENCE_LEAST = 20.0
# Units a second, and of the reference: a partition that others use too much never stops the rest.
RATE_LEAST = 1.0
PART_LEAST = 0.05
# A rate that is not used this far says nothing about what the table bears, and does not grow.
USED = 0.8


class Aimd:
    """Units a second. Begins at the capacity that is known, or without a limit until the first throttle."""

    def __init__(self, capacity_s: float | None, now_s: float) -> None:
        self.rate_s = UNLIMITED if capacity_s is None else max(RATE_LEAST, capacity_s)
        self._reference_s = capacity_s
        self._grown_at_s = now_s
        self._reduced_at_s = float("-inf")

    def __repr__(self) -> str:
        return f"Aimd({self.rate_s:.1f}/s)"

    def throttled(self, now_s: float, used_s: float) -> bool:
        """The table had enough while `used_s` were used; whether the rate was lowered for it."""
        if now_s - self._reduced_at_s < DECREASE_EVERY_S:
            return False
        if self.rate_s == UNLIMITED:
            self.rate_s = used_s
            self._reference_s = used_s
        self.rate_s = max(RATE_LEAST, PART_LEAST * (self._reference_s or 0.0), self.rate_s * DECREASE)
        self._reduced_at_s = self._grown_at_s = now_s
        return True

    def grow(self, now_s: float, used_s: float) -> None:
        """Some time has passed in which `used_s` were used."""
        passed_s = min(1.0, now_s - self._grown_at_s)
        self._grown_at_s = now_s
        if self.rate_s == UNLIMITED or used_s < USED * self.rate_s:
            return
        self.rate_s += INCREASE * max(self._reference_s or 0.0, self.rate_s, REFERENCE_LEAST) * passed_s
