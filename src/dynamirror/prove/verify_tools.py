"""What a verify is given from outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dynamirror.errors import Side
from dynamirror.model.key import KeyCodec
from dynamirror.model.reading_size import ReadingSize
from dynamirror.model.verify import Found, Lives
from dynamirror.ports import Clock, ItemReader, ItemSource

# Items of a page of either table.
PAGE_ITEMS = 1000


def _page_sizes() -> Mapping[Side, ReadingSize]:
    return {side: ReadingSize(PAGE_ITEMS) for side in (Side.SOURCE, Side.DESTINATION)}


@dataclass(frozen=True, slots=True)
class VerifyTools:
    """Both tables, by Side.SOURCE and Side.DESTINATION, and what all parts share."""

    scans: Mapping[Side, ItemSource]
    items: Mapping[Side, ItemReader]
    codec: KeyCodec
    clock: Clock
    random: Callable[[], float]
    # How long a difference has to last, now: longer while a copy holds changes back.
    patience_s: Callable[[], float]
    lives: Lives
    report: Callable[[Found], None]
    # What one segment learns of the path to a table holds for the others.
    page_sizes: Mapping[Side, ReadingSize] = field(default_factory=_page_sizes)
