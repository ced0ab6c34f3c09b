"""One limit for many workers: who uses little keeps what it uses and some room, the others share the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

# A worker in which somebody waits for this part of the time could use more.
LIMITED_FROM = 0.6
# Room for one that does not, so that its need is seen to grow.
ROOM = 1.25
# Of an equal part: what a worker without any use may begin with.
BEGINNING = 0.05


@dataclass(frozen=True, slots=True)
class Demand:
    """What a worker does with its share: units a second that it used lately, and whether it could use more."""

    used_s: float
    limited: bool


@dataclass(frozen=True, slots=True)
class RateRow:
    """What a worker says to the others; `counter` moves with every writing."""

    worker: str
    counter: int
    read: Demand
    write: Demand


def shares(demands: Mapping[str, Demand], total_s: float) -> dict[str, float]:
    """Units a second for each worker; all of `total_s`. The same rows give the same shares, whoever reckons."""
    wanted = {
        worker: max(demand.used_s * ROOM, BEGINNING * total_s / len(demands))
        for worker, demand in demands.items()
        if not demand.limited
    }
    given: dict[str, float] = {}
    left_s = total_s
    # The modest first: once one wants more than an equal part of what is left, so do all that follow.
    for worker in sorted(wanted, key=lambda name: (wanted[name], name)):
        if wanted[worker] > left_s / (len(demands) - len(given)):
            break
        given[worker] = wanted[worker]
        left_s -= wanted[worker]
    others = demands.keys() - given.keys()
    if others or not given:
        return given | dict.fromkeys(others, left_s / max(1, len(others)))
    return {worker: share + left_s / len(given) for worker, share in given.items()}
