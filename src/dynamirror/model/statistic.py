"""Observations summed up for CloudWatch: a statistic set is all that is kept of many values."""

from dataclasses import dataclass


@dataclass(slots=True)
class Statistic:
    """Count, sum, least and most of the values seen."""

    count: int = 0
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")

    def see(self, value: float) -> None:
        """One more value."""
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)


@dataclass(frozen=True, slots=True)
class Datum:
    """One figure over one stretch of time, as it is published."""

    name: str
    # As CloudWatch spells it: Count, Bytes, Milliseconds.
    unit: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: Statistic
    # End of the stretch, seconds since the epoch.
    at_s: float
