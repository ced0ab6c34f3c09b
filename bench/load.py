"""What the stand-in serves."""

from dataclasses import dataclass, replace

from bench.pages import ITEM_BYTES


@dataclass(frozen=True, slots=True)
class Load:
    """`changes` of a stream, and a table of `items`. Each has a key of its own."""

    changes: int = 0
    items: int = 0
    item_bytes: int = ITEM_BYTES
    # Changes a second, by the clock; 0: all are there from the beginning.
    rate: float = 0.0
    # Items in a page of Scan at most, 0: as many as fit; and how long the page takes.
    page_items_max: int = 0
    page_pause_s: float = 0.0

    @property
    def count(self) -> int:
        """How many keys are to arrive."""
        return self.changes + self.items

    def less(self, count: int) -> "Load":
        """The same with so many."""
        return replace(self, changes=min(self.changes, count), items=min(self.items, count))
