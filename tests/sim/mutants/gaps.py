"""Mutants of gaps (R-11)."""

from collections.abc import Iterator
from unittest.mock import patch

from dynamirror.errors import Gap
from dynamirror.follow.gaps import GapPolicy
from tests.sim.mutants.base import GAPS, mutant


@mutant("a gap is noted before it is passed", GAPS)
def gap_passed_in_silence() -> Iterator[None]:
    async def note(self: GapPolicy, gap: Gap) -> int:
        """Nobody learns of it."""
        return int(self._tools.now_s() * 1000)

    with patch.object(GapPolicy, "note", note):
        yield
