"""Several worker processes under one supervisor: what follows where one ended, what the whole ends with, and whether
all are healthy.

A worker's exit code tells whose the reason is. Refused flags, tables that are gone, a gap, too many parked items: every
worker of the task has that reason, or will find it as soon as it has the shard, so the whole ends. A signal and an
internal error are that one process's own.
"""

import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from dynamirror.errors import ExitCode
from dynamirror.model.health import Problem

AGAIN_FIRST_S = 1.0
AGAIN_MOST_S = 30.0
# One that ran for so long begins with the shortest wait again.
STEADY_S = 60.0
# Out of reach for some seconds during a start looks the same as gone for good; who runs already can tell them apart.
OF_A_SIDE = frozenset({ExitCode.SOURCE, ExitCode.DESTINATION, ExitCode.STATE})
# What a signal ends before the program's first line, or one that was given twice.
ASKED = frozenset({-signal.SIGTERM, -signal.SIGINT})


class Place(msgspec.Struct, frozen=True):
    """What a worker process is told by its supervisor: its number, and the pipes between them."""

    process: int
    # Inherited: read here, until the supervisor is gone; written here.
    asks: int
    answers: int
    # Somebody wants to see its figures.
    pages: bool


class Told(msgspec.Struct, frozen=True):
    """What a worker process tells its supervisor of itself."""

    # It follows its shards, or has begun to.
    started: bool
    # Shard ("": none) and reason; None: it has not begun yet.
    problems: Sequence[tuple[str, str]] | None = None
    # In the text format of Prometheus.
    figures: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker process as its supervisor sees it."""

    process: int
    # None: it is not there, or does not answer.
    told: Told | None
    # Why it does not count as healthy, whatever it tells; empty: no reason.
    trouble: str = ""
    # So often it was started again.
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker process ended by itself. `code` is negative for a signal, as subprocess has it."""

    code: int
    ran_s: float
    # It had got as far as following.
    started: bool


@dataclass(frozen=True, slots=True)
class Again:
    """It is to be started again, so many seconds later. `failures`: how many were short-lived, one after the other."""

    after_s: float
    failures: int


@dataclass(frozen=True, slots=True)
class Over:
    """The whole ends, with this exit code."""

    code: int


def after(ended: Ended, failures: int, others: bool) -> Again | Over:
    """What follows. `failures` were short-lived before it; `others`: another process has started, and runs."""
    own = ended.code < 0 or ended.code == ExitCode.INTERNAL
    unsure = ended.code in OF_A_SIDE and not ended.started and others
    if not own and not unsure:
        return Over(ended.code)
    failures = 0 if ended.ran_s >= STEADY_S else failures
    return Again(min(AGAIN_MOST_S, AGAIN_FIRST_S * 2.0 ** min(failures, 30)), failures + 1)


def at_stop(code: int, started: bool) -> int:
    """The exit code that counts of a process that was asked to end."""
    if code in ASKED and not started:
        # Before the program's first line there is nothing to bring to an end.
        return int(ExitCode.OK)
    return int(ExitCode.INTERNAL) if code < 0 else code


def worst(codes: Iterable[int]) -> int:
    """Of all processes, after an orderly stop: the higher an exit code, the more it asks of the operator."""
    return max(codes, default=int(ExitCode.OK))


def ended_with(code: int) -> str:
    """In words."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    return f"signal {-code} ({name})"


def health_of(seen: Iterable[Seen]) -> list[Problem] | None:
    """What ails the whole; none: all are healthy. None: some have not begun yet, and nothing else is wrong."""
    found: list[Problem] = []
    begun = True
    for one in seen:
        if one.trouble:
            found.append(Problem("", f"process {one.process}: {one.trouble}"))
        elif one.told is None or one.told.problems is None:
            begun = False
        else:
            found += [Problem(shard, f"process {one.process}: {why}") for shard, why in one.told.problems]
    return found if found or begun else None


def words_without(words: Sequence[str], flags: Sequence[str]) -> list[str]:
    """A command line without `flags`, each of which has a value; it has been understood already."""
    kept: list[str] = []
    value_follows = False
    for word in words:
        if value_follows:
            value_follows = False
        elif word in flags:
            value_follows = True
        elif word.partition("=")[0] not in flags:
            kept.append(word)
    return kept
