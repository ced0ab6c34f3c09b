"""How many units a second may be used: what was asked for, and a bucket that keeps to it.

A unit is DynamoDB's: 1 KB written, 4 KB read consistently (Developer Guide, "Read and write operations").
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

UNLIMITED = float("inf")
# What was not used may be used later, up to so many seconds' worth: it makes up for a moment in which nothing moved.
# With a page of the copy (model/lane) it is less than a twentieth of ten seconds.
SAVED_S = 0.25
# Over about so long a rate is measured.
MEASURED_OVER_S = 3.0
WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Limit:
    """What an operator asks for: units a second, or a share of what the table can do."""

    units_s: float | None = None
    percent: float | None = None

    def of(self, capacity_s: float | None) -> float | None:
        """Units a second for a table that can do so many; None: a share of what is not known."""
        if self.units_s is not None or self.percent is None:
            return self.units_s
        return None if capacity_s is None else capacity_s * self.percent / 100

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else f"{self.units_s:g}"


def write_units(sizes_bytes: Iterable[int]) -> int:
    """At least about what writes of these sizes cost, as JSON, which is longer than what the service counts."""
    return sum([max(1, -(-size // WRITE_UNIT_BYTES)) for size in sizes_bytes])


def read_units(size_bytes: int) -> int:
    """About what one page of a Scan costs, read consistently; its size as JSON."""
    return max(1, -(-size_bytes // READ_UNIT_BYTES))


class Bucket:
    """Units that grow with time. Whoever takes may bring it below zero; the next one waits for the debt."""

    def __init__(self, rate_s: float, now_s: float) -> None:
        self.rate_s = rate_s
        self._level = 0.0
        self._at_s = now_s

    def __repr__(self) -> str:
        return f"Bucket({self._level:.1f} at {self.rate_s:.1f}/s)"

    def change(self, rate_s: float, now_s: float) -> None:
        """Another rate from now on."""
        self._advance(now_s)
        self.rate_s = rate_s

    def wait_s(self, now_s: float) -> float:
        """Until there is no debt; inf while nothing may be used at all."""
        self._advance(now_s)
        if self._level >= 0:
            return 0.0 if self.rate_s > 0 else UNLIMITED
        return -self._level / self.rate_s if self.rate_s > 0 else UNLIMITED

    def take(self, units: float, now_s: float) -> None:
        """Use so many units, or (negative) give them back. What was taken by estimate is settled so too."""
        self._advance(now_s)
        self._level = min(self._level - units, self._most)

    @property
    def _most(self) -> float:
        return SAVED_S * self.rate_s

    def _advance(self, now_s: float) -> None:
        passed_s = max(0.0, now_s - self._at_s)
        self._at_s = now_s
        if self.rate_s == UNLIMITED:
            self._level = 0.0
        else:
            self._level = min(self._most, self._level + passed_s * self.rate_s)


class Usage:
    """Units a second, lately: a mean in which what is longer ago counts less."""

    def __init__(self, now_s: float) -> None:
        self._sum = 0.0
        self._begun_s = self._at_s = self._added_at_s = now_s

    def add(self, units: float, now_s: float) -> None:
        """So many units were used now."""
        if now_s - self._added_at_s > 2 * MEASURED_OVER_S:
            # Nothing was wanted meanwhile, which says nothing about the rate.
            self._sum, self._begun_s = 0.0, now_s
        self._advance(now_s)
        self._added_at_s = now_s
        self._sum += units

    def rate_s(self, now_s: float) -> float:
        """Units a second."""
        self._advance(now_s)
        # At the beginning there is no longer past to divide by; a first instant is no rate.
        weight_s = MEASURED_OVER_S * -math.expm1(-(now_s - self._begun_s) / MEASURED_OVER_S)
        return self._sum / max(weight_s, 1.0)

    def _advance(self, now_s: float) -> None:
        if now_s > self._at_s:
            self._sum *= math.exp((self._at_s - now_s) / MEASURED_OVER_S)
            self._at_s = now_s
