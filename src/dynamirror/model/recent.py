"""Quantiles of what was seen lately, in bounded memory: values are counted by size, a few per cent apart."""

import math
from collections import Counter, deque

# A quantile is right within half a step.
STEP = 1.04
_LEAST = 0.001
_LOG_STEP = math.log(STEP)


class Recent:
    """Values of the last `window_s`, forgotten a slice at a time."""

    def __init__(self, window_s: float = 60.0, slices: int = 6) -> None:
        self._slice_s = window_s / slices
        # Number of the slice, and how many values of each size it has; the newest last.
        self._slices: deque[tuple[int, Counter[int]]] = deque(maxlen=slices)

    def see(self, value: float, now_s: float) -> None:
        """One value, not negative. `now_s` never goes back."""
        number = int(now_s / self._slice_s)
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append((number, Counter()))
        self._slices[-1][1][_size_of(value)] += 1

    def quantile(self, share: float, now_s: float) -> float | None:
        """The value that `share` (0 to 1) of those in the window do not exceed; None: nothing was seen."""
        oldest = int(now_s / self._slice_s) - (self._slices.maxlen or 1)
        counts: Counter[int] = Counter()
        for number, seen in self._slices:
            if number > oldest:
                counts.update(seen)
        left = math.ceil(share * counts.total())
        for size in sorted(counts):
            left -= counts[size]
            if left <= 0:
                return _value_of(size)
        return None


def _size_of(value: float) -> int:
    return 0 if value <= _LEAST else round(math.log(value / _LEAST) / _LOG_STEP)


def _value_of(size: int) -> float:
    return _LEAST * STEP**size if size else 0.0
