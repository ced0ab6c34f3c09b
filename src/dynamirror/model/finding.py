"""What a look at two tables has found: how bad it is, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from dynamirror.errors import Side


class Severity(Enum):
    """What a finding means for a start; the value is the word that is shown. The worst stands first."""

    # Replication would not start, or would not do what was asked.
    STOP = "stop"
    # It would start; somebody should look first.
    WARN = "warn"
    # As it should be, or only another table for its readers.
    READY = "ready"


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a plan."""

    severity: Severity
    # "source", "destination", "stream", "permissions", ...: what it is about, in a word.
    about: str
    what: str
    # What to do; empty: nothing.
    do: str = ""
    # Whose it is, for the exit code of a start that is refused for it; None: the arguments'.
    side: Side | None = None
    # False: it could not be looked at, or be proved; to a start that is no reason for anything.
    known: bool = True


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, else in the order in which they were found; the same one only once."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: _RANK[finding.severity]))


def is_ready(findings: Iterable[Finding]) -> bool:
    """Whether nothing stops a start."""
    return all(finding.severity is not Severity.STOP for finding in findings)
