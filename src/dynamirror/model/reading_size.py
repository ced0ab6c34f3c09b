"""How many items, keys or records are asked for at once: as many as came through within an attempt lately.

Over a narrow path what did not come within the time-out does not come the next time either: asked for as it was, it
would be asked for for ever. So it is halved, down to one. It grows again fast up to where it failed, and tries that
only now and then.
"""

from types import TracebackType

from dynamirror.errors import Unanswered

# Full answers before so many are tried again as failed: that may cost a whole time-out.
TRY_AFTER = 8
_NEVER = float("inf")


class ReadingSize:
    """`present` is what to ask for now."""

    def __init__(self, largest: int, first: int | None = None) -> None:
        """`first`: what it begins with; None: the largest."""
        self.present = largest if first is None else first
        self._largest = largest
        self._failed_at = _NEVER
        self._full = 0

    def __repr__(self) -> str:
        return f"ReadingSize({self.present} of {self._largest})"

    def reading(self, asked: int) -> "_Attempt":
        """Around one attempt to read so many, and nothing else: what it raises tells whether they were too many."""
        return _Attempt(self, asked)

    def failed(self, asked: int) -> None:
        """So many were too many. All that were under way at the same time halve it once."""
        self._failed_at = min(self._failed_at, asked)
        self.shrink(asked)

    def shrink(self, asked: int) -> None:
        """Half of so many from now on: they came, but took too long for the caller."""
        self.present = min(self.present, max(1, asked // 2))
        self._full = 0

    def succeeded(self, came: int) -> None:
        """So many came. Fewer than may be asked for say nothing of more."""
        if came < self.present:
            return
        self._full += 1
        if self.present * 2 >= self._failed_at:
            if self._full < TRY_AFTER:
                return
            self._failed_at = _NEVER
        self.present = min(self._largest, self.present * 2)
        self._full = 0


class _Attempt:
    """By hand, since there is one a poll: a generator's context manager costs three times as much."""

    __slots__ = ("_asked", "_size")

    def __init__(self, size: ReadingSize, asked: int) -> None:
        self._size = size
        self._asked = asked

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(failure, Unanswered):
            self._size.failed(self._asked)
