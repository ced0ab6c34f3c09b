"""When a reader had read all that a shard had, as far as its pages tell. For what operators see; nothing relies on it.

A page without records comes at the end of what there is, and also on the way to records, mostly on the first way there
(model/emptiness, which demands far more where changes could be lost).
"""

from dataclasses import dataclass

# Of an iterator that has brought no records yet, so many empty pages tell that there are none: some seconds.
EMPTY_PAGES_MIN = 10


@dataclass(slots=True)
class Tip:
    """The pages of one iterator and its successors."""

    # All that came until then was read, in ms since the epoch; None: more may have come.
    until_ms: int | None = None
    _empty_pages: int = 0
    _records_came: bool = False

    def opened(self) -> None:
        """A new iterator begins where the last one was."""
        self._empty_pages, self._records_came = 0, False

    def read(self, sent_at_ms: int, empty: bool) -> None:
        """A page was received, asked for at that time (the service's clock)."""
        if not empty:
            self.until_ms, self._records_came = None, True
            return
        self._empty_pages += 1
        if self._records_came or self._empty_pages >= EMPTY_PAGES_MIN:
            self.until_ms = sent_at_ms
