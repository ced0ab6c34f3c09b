"""Until when nothing came on a shard.

A page without records proves nothing by itself: GetRecords may take many calls to come to the part of a shard that has
some, and answers with empty pages till then.

    1 a change lies on a shard for 22 hours; 2 a worker reads it from its beginning for a minute, gets empty pages, and
    is stopped; 3 two hours later the change is trimmed: had the worker said "nothing until now", nobody would miss it
"""

from dataclasses import dataclass

# So much reading with nothing but empty pages proves it: some 900 calls at the pace of an idle shard, on one that is
# written for about four hours. Longer, and a shard that is read in short stints only would seem unread all the more.
EMPTY_READING_S = 15 * 60.0
# What passes between two reads counts for so long at most: pages are what proves it, not a pause.
BETWEEN_READS_MAX_S = 10.0


@dataclass(slots=True)
class Emptiness:
    """The empty pages of one iterator and its successors."""

    # The shard had nothing from the reader's place to this time, in ms since the epoch; None: not known.
    until_ms: int | None = None
    _read_s: float = 0.0
    _last_ms: int | None = None

    def opened(self) -> None:
        """A new iterator begins at the same place: the way to the records, if there are any, is before it again."""
        self._read_s, self._last_ms = 0.0, None

    def read(self, sent_at_ms: int, empty: bool) -> None:
        """A page was received, asked for at that time (the service's clock)."""
        if not empty:
            self.opened()
            self.until_ms = None
            return
        if self._last_ms is not None:
            self._read_s += min(max(0.0, (sent_at_ms - self._last_ms) / 1000), BETWEEN_READS_MAX_S)
        self._last_ms = sent_at_ms
        if self._read_s >= EMPTY_READING_S:
            self.until_ms = sent_at_ms
