"""Faults and mutants whose mechanism is not there yet, each with what switches it on.

When the capability is built, its line here fails: then the mutant is written, and the line goes.
"""

from importlib.util import find_spec

import pytest

LATER = [
    ("inequality 5, P-24: hand-off shorter than T + L + drain", "dynamirror.fleet.handoff"),
    ("P-11: no wait after a steal", "dynamirror.fleet.steal"),
]


@pytest.mark.parametrize("what,capability", LATER)
def test_the_capability_is_not_there_yet(what: str, capability: str) -> None:
    assert find_spec(capability) is None, f"now write the mutant: {what}"
