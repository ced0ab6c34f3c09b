"""What each segment of a verify has shown so far. A segment counts as done once its suspects are decided too.

Bookkeeping only, no I-O. Counts of a segment reach the run all at once, so a restart counts nothing twice.
"""

from dataclasses import dataclass, field, replace

from dynamirror.errors import Side
from dynamirror.model.verify import Class, Tally, VerifyRun


@dataclass(slots=True)
class _Segment:
    tally: Tally = field(default_factory=Tally)
    open: int = 0
    read: bool = False


class Ledger:
    """Of one run. `run` is what may be saved at any time."""

    def __init__(self, run: VerifyRun) -> None:
        self.run = run
        self._segments: dict[int, _Segment] = {}

    @property
    def tally(self) -> Tally:
        """Everything, segments under way included."""
        return sum((segment.tally for segment in self._segments.values()), self.run.tally)

    def begin(self, number: int) -> None:
        """A segment is being read."""
        assert number not in self._segments, f"segment {number} is under way"
        self._segments[number] = _Segment()

    def items(self, number: int, side: Side, count: int) -> None:
        """So many items of one side were read."""
        name = "source_items" if side is Side.SOURCE else "destination_items"
        segment = self._segments[number]
        segment.tally = replace(segment.tally, **{name: getattr(segment.tally, name) + count})

    def suspect(self, number: int) -> None:
        """One more key to look at."""
        segment = self._segments[number]
        segment.open += 1
        segment.tally = replace(segment.tally, suspects=segment.tally.suspects + 1)

    def found(self, number: int, kind: Class) -> None:
        """One key differs."""
        segment = self._segments[number]
        segment.tally = segment.tally.with_one(kind)

    def mended(self, number: int) -> None:
        """One key that differed does no more."""
        segment = self._segments[number]
        segment.tally = replace(segment.tally, mended=segment.tally.mended + 1)

    def decided(self, number: int) -> None:
        """One suspect fewer."""
        self._segments[number].open -= 1
        self._close(number)

    def read(self, number: int) -> None:
        """Both sides of the segment were read to their end."""
        self._segments[number].read = True
        self._close(number)

    def _close(self, number: int) -> None:
        segment = self._segments[number]
        assert segment.open >= 0, f"segment {number} has {segment.open} suspects"
        if segment.read and not segment.open:
            self.run = self.run.counted(number, segment.tally)
            del self._segments[number]
