"""What a verify has found and how far it is: classes of differences, sums, and the row that a restart goes on from."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from math import ceil

from dynamirror.model.diff import Item, first_difference

# Items of a segment at most, by the table's own count.
SEGMENT_ITEMS = 10_000
SEGMENTS_MIN, SEGMENTS_MAX = 4, 20_000
# A sample has so many segments at least, or it would be a handful of ranges, or the whole of a small table.
SAMPLE_SEGMENTS_MIN = 10
# An item whose time to live is longer ago than this is not taken for expired (Developer Guide, "Time to Live").
TTL_PAST_S_MAX = 5 * 365 * 24 * 3600


class Class(Enum):
    """How an item differs; the value is the word of reports."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    # Past its time to live: it goes away by itself. No difference.
    EXPIRED = "expired"
    # It moved all the time. No difference.
    UNSETTLED = "unsettled"


@dataclass(frozen=True, slots=True)
class Lives:
    """What is known of time to live. `attribute`: of the source table; None: items do not expire, or shall count."""

    attribute: str | None = None

    def over(self, item: Item | None, now_s: float) -> bool:
        """Whether the item is past its time to live; one that is not there is."""
        if item is None:
            return True
        if self.attribute is None:
            return False
        match item.get(self.attribute):
            case {"N": str(text)}:
                ends_at_s = Decimal(text)
                return now_s - TTL_PAST_S_MAX < ends_at_s < now_s
            case _:
                return False


def classified(source: Item | None, destination: Item | None, lives: Lives, now_s: float) -> tuple[Class, str]:
    """The class of two items that differ, and the path of the first attribute that does."""
    if lives.over(source, now_s) and lives.over(destination, now_s):
        return Class.EXPIRED, ""
    if destination is None:
        return Class.MISSING, ""
    if source is None:
        return Class.EXTRA, ""
    return Class.DIFFERENT, first_difference(source, destination) or ""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums, of a segment or of all of them."""

    source_items: int = 0
    destination_items: int = 0
    # Looked at by key.
    suspects: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    expired: int = 0
    unsettled: int = 0
    # Of those that are missing, extra or different.
    mended: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def found(self) -> int:
        """Differences."""
        return self.missing + self.extra + self.different

    @property
    def remaining(self) -> int:
        """Differences that were not mended."""
        return self.found - self.mended

    def with_one(self, kind: Class) -> "Tally":
        """One more of a class."""
        return replace(self, **{kind.value: getattr(self, kind.value) + 1})


@dataclass(frozen=True, slots=True)
class VerifyRun:
    """One pass over both tables, as it stands in the state table. `version` moves by one with every write."""

    id: str
    # What is compared and how: a run is gone on with only under the same words.
    words: str
    segments: int
    # Share of the segments that is read, drawn by the seed.
    share: float = 1.0
    seed: int = 0
    # A bit for each segment that is done, by number.
    done: int = 0
    tally: Tally = field(default_factory=Tally)
    # That all starts together have spent.
    spent_s: int = 0
    over: bool = False
    version: int = 1
    # Gaps that were open before it began, and that it closes if the tables are equal in the end.
    gaps: tuple[str, ...] = ()

    def left(self) -> list[int]:
        """Segments still to be done."""
        return [number for number in chosen(self.segments, self.share, self.seed) if not self.done >> number & 1]

    def counted(self, number: int, tally: Tally) -> "VerifyRun":
        """The run once a segment is done."""
        return replace(self, done=self.done | 1 << number, tally=self.tally + tally)


def segments_for(items: int, share: float) -> int:
    """How many segments, for a table of so many items (0: not known)."""
    wanted = max(ceil(items / SEGMENT_ITEMS), ceil(SAMPLE_SEGMENTS_MIN / share) if share < 1 else 0)
    return min(SEGMENTS_MAX, max(SEGMENTS_MIN, wanted))


def chosen(segments: int, share: float, seed: int) -> Sequence[int]:
    """The segments that are read: all, or a share of them, at least one, drawn by the seed."""
    if share >= 1:
        return range(segments)
    drawn = sorted(range(segments), key=lambda number: blake2b(f"{seed}/{number}".encode()).digest())
    return sorted(drawn[: max(1, round(segments * share))])


@dataclass(frozen=True, slots=True)
class Found:
    """One key that differs. `mended`: None: just found; else what a second look showed after the mending."""

    kind: Class
    # The key's attributes.
    key: Item
    path: str = ""
    mended: bool | None = None

    def __str__(self) -> str:
        names = ", ".join(f"{name}={next(iter(value.values()))}" for name, value in self.key.items())
        return f"{names}: {self.kind.value}{f' at {self.path}' if self.path else ''}"
