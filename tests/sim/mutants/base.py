"""What a mutant is, and the profiles that make what it breaks likely."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from dynamirror.model.gap import OnGap
from dynamirror.settings.groups import CopySettings, LeaseSettings, ReadSettings, WriteSettings
from dynamirror.settings.java_times import lease_for_java, write_for_java
from tests.sim.profile import Fleet, Profile, Service

ONE = (1.0,)
THERE = frozenset({"destination"})
HERE = frozenset({"source"})
ROWS = frozenset({"leases", "heartbeats", "copy"})
LOT = frozenset({"parked"})
QUIET = Profile(turns=40, share_factors=ONE, roll=0.02, split=0.0, kill=0.0, stop=0.0, freeze=0.0, partition=0.0)
BUSY = Profile(turns=40, share=0.25, share_factors=ONE, partition=0.02)
LATE = replace(QUIET, share=0.3, places=THERE, kinds={"late": 1}, keys=5)
PARTIAL = replace(QUIET, share=0.5, places=THERE, kinds={"partial": 1, "throttle": 1}, keys=5)
CRASHES = replace(LATE, kill=0.15, start=0.4)
STOPS = replace(LATE, stop=0.15, start=0.4)
FROZEN = replace(BUSY, freeze=0.25, kill=0.0, share=0.1, partition=0.1, start=0.4)
LATE_SENDS = replace(QUIET, freeze=0.06, freezes_s=(50.0, 60.0), at_send=1.0, share=0.0, start=0.6, keys=400, turns=90)
ROLLS = replace(BUSY, roll=0.4, split=0.1, share=0.15)
READS = replace(QUIET, share=0.3, places=HERE, kinds={"iterator": 1}, kill=0.02)
COPY = Profile(
    turns=40,
    share=0.15,
    share_factors=ONE,
    items=150,
    keys=150,
    partition=0.02,
    fleet=Fleet(copy=CopySettings(segments=5, segments_at_once=2, page_items_first=3, page_items_max=6)),
)
# Nobody reads the stream for longer than it keeps changes, or nobody can write for so long.
GAPS = Profile(
    turns=80,
    turn_s=60.0,
    share=0.1,
    share_factors=ONE,
    load=(0, 1, 2, 4),
    keys=60,
    kill=0.03,
    # The first worker has begun the task at least.
    stop=0.0,
    start=0.06,
    roll=0.05,
    split=0.01,
    # Turns are long: what was followed at the last one says little of a worker that was frozen and robbed since.
    freeze=0.0,
    night=0.0,
    step_clock=0.0,
    date_off_s=0.0,
    partition=0.08,
    partitions=("destination",),
    partitions_s=(1700.0, 2400.0),
    service=Service(retention_s=1440.0),
    fleet=Fleet(read=ReadSettings(batch_size=5, on_gap=OnGap.CONTINUE), write=WriteSettings(queue_bytes_max=300)),
)
PARKED = replace(QUIET, bad=0.3, keys=5, share=0.4, places=LOT, kinds={"late": 2, "applied": 1, "throttle": 1})
STATE = replace(QUIET, share=0.3, places=ROWS, roll=0.2, kill=0.05, stop=0.05)
# Beside workers of the Java tool, whose fail-over time is short.
JAVA_S = 15.0
_FOR_JAVA = write_for_java(WriteSettings(), JAVA_S)
JAVA = Profile(
    turns=150,
    share=0.05,
    keys=20,
    kill=0.03,
    stop=0.02,
    start=0.08,
    freeze=0.03,
    partition=0.02,
    roll=0.03,
    split=0.01,
    night=0.0,
    workers_max=2,
    javas_max=2,
    java_failover_s=JAVA_S,
    fleet=Fleet(write=_FOR_JAVA, lease=lease_for_java(LeaseSettings(), _FOR_JAVA, JAVA_S)),
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """`promise`: what it breaks. `enter`: a context manager that patches the code."""

    name: str
    promise: str
    enter: Callable[[], Any]
    profile: Profile = BUSY
    # A seed that caught it once, tried first: some need many.
    hint: int = 0


MUTANTS: list[Mutant] = []


def mutant(promise: str, profile: Profile = BUSY, hint: int = 0) -> Callable[[Callable[[], Iterator[None]]], None]:
    """Put a generator function, its name the mutant's, into the list."""

    def enlist(patching: Callable[[], Iterator[None]]) -> None:
        name = patching.__name__.replace("_", " ")
        MUTANTS.append(Mutant(name, promise, contextmanager(patching), profile, hint))

    return enlist
