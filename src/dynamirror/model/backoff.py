"""How long to wait before the next attempt: exponential with full jitter, bounded."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays grow from `first_s` by doubling up to `most_s`; the actual delay is drawn from the upper half.

    Full jitter (AWS Architecture Blog, "Exponential Backoff and Jitter") spreads clients best, but may draw
    nearly zero many times in a row; the lower half is left out so that a throttled table gets its rest.
    """

    first_s: float
    most_s: float

    def delay_s(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 0); `random` gives [0, 1)."""
        ceiling = min(self.most_s, self.first_s * 2.0 ** min(attempt, 30))
        return ceiling * (0.5 + 0.5 * random())
