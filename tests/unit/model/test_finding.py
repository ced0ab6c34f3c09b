"""Findings: the worst first, and whether a start may be."""

from dynamirror.model.finding import Finding, Severity, is_ready, ordered

STOP = Finding(Severity.STOP, "stream", "is off", "switch it on")
WARN = Finding(Severity.WARN, "readers", "not known")
FINE = Finding(Severity.READY, "source", "is active")


def test_the_worst_comes_first_and_each_once() -> None:
    other = Finding(Severity.WARN, "destination", "has items")
    assert ordered([FINE, WARN, STOP, other, WARN]) == (STOP, WARN, other, FINE)


def test_only_what_stops_is_not_ready() -> None:
    assert is_ready([])
    assert is_ready([FINE, WARN])
    assert not is_ready([FINE, STOP])
