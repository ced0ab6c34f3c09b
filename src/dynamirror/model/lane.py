"""One direction of a worker's traffic: what it reads of the source, or writes to the destination.

Two buckets. `limit`: this worker's share of what the operator allows, for changes and copy together. `copy`: what the
table bears beside others, found by throttles, for the copy alone; changes have their own retries.
"""

from dynamirror.model.aimd import Aimd
from dynamirror.model.orders import Ordered, total_s
from dynamirror.model.rate import READ_UNIT_BYTES, UNLIMITED, WRITE_UNIT_BYTES, Bucket, Usage
from dynamirror.model.shares import LIMITED_FROM, Demand

# A page of the copy costs at most what may be used in so long, so that it comes evenly.
PAGE_S = 0.2


class Lane:
    """Units by estimate are taken first, and settled when the service has said what it charged."""

    def __init__(self, total_s: float | None, capacity_s: float | None, now_s: float) -> None:
        """`total_s`: of the fleet, None: no limit; then nothing may be used before there is a share of it.
        `capacity_s`: what the table can do, as far as is known."""
        self.total_s = self._asked_s = total_s
        self._capacity_s = capacity_s
        self.limit = Bucket(UNLIMITED if total_s is None else 0.0, now_s)
        self._aimd = Aimd(capacity_s, now_s)
        self._copy = Bucket(self._aimd.rate_s, now_s)
        self._used = Usage(now_s)
        self._used_by_copy = Usage(now_s)
        self._asked_at_s = self._waited_until_s = now_s
        self._waited_s = 0.0

    def __repr__(self) -> str:
        return f"Lane({self.limit}, {self._aimd})"

    def alone(self, now_s: float) -> None:
        """Nobody shares the limit."""
        if self.total_s is not None:
            self.share(self.total_s, now_s)

    def share(self, units_s: float, now_s: float) -> None:
        """So much of the limit is this worker's from now on."""
        assert self.total_s is not None, "a share of no limit"
        self.limit.change(units_s, now_s)

    def order(self, ordered: Ordered, now_s: float) -> bool:
        """The operator wants another limit, perhaps; whether it is another one. Its share is what it was of the one
        before; where there was none nothing may be used until somebody has reckoned it."""
        before, wanted_s = self.total_s, total_s(ordered, self._asked_s, self._capacity_s)
        if wanted_s == before:
            return False
        self.total_s = wanted_s
        if wanted_s is None:
            self.limit.change(UNLIMITED, now_s)
        else:
            self.limit.change(self.limit.rate_s * wanted_s / before if before is not None else 0.0, now_s)
        return True

    @property
    def limited(self) -> bool:
        """Whether the operator has set a limit."""
        return self.total_s is not None

    @property
    def copy_rate_s(self) -> float:
        """What the copy may use, if no change wants anything."""
        return min(self.limit.rate_s, self._aimd.rate_s)

    def copy_wait_s(self, now_s: float) -> float:
        """Until a page may begin."""
        self._aimd.grow(now_s, self._used_by_copy.rate_s(now_s))
        self._copy.change(self._aimd.rate_s, now_s)
        return max(self.limit.wait_s(now_s), self._copy.wait_s(now_s))

    def take_for_copy(self, units: float, now_s: float) -> None:
        """Before it is known what it will cost; negative: it was not used, or cost less."""
        self.limit.take(units, now_s)
        self._copy.take(units, now_s)

    def charged(self, estimated: float, units: float, now_s: float) -> None:
        """To changes: what they cost in the end."""
        self.limit.take(units - estimated, now_s)
        self._used.add(units, now_s)

    def charged_to_copy(self, estimated: float, units: float, now_s: float) -> None:
        """What a part of the copy that was taken by estimate cost in the end."""
        self.take_for_copy(units - estimated, now_s)
        self._used.add(units, now_s)
        self._used_by_copy.add(units, now_s)

    def throttled(self, now_s: float) -> bool:
        """The table had enough, whoever asked; whether the copy goes slower now."""
        lowered = self._aimd.throttled(now_s, self._used_by_copy.rate_s(now_s))
        self._copy.change(self._aimd.rate_s, now_s)
        return lowered

    def waits(self, now_s: float, until_s: float) -> None:
        """Somebody waits for the limit so long, beside others perhaps."""
        self._waited_s += max(0.0, until_s - max(now_s, self._waited_until_s))
        self._waited_until_s = max(self._waited_until_s, until_s)

    def demand(self, now_s: float) -> Demand:
        """For the others who share the limit: since this was last asked."""
        passed_s, waited_s = now_s - self._asked_at_s, self._waited_s
        self._asked_at_s, self._waited_s = now_s, 0.0
        limited = self.limit.rate_s <= 0 or waited_s > LIMITED_FROM * passed_s
        return Demand(self._used.rate_s(now_s), limited)


class PageSize:
    """What items of the copy cost, by the pages before: how many make a page."""

    def __init__(self, item_bytes: float = 0) -> None:
        """`item_bytes`: of an item on average, as far as the table says; 0: not known."""
        self._read_units = item_bytes / READ_UNIT_BYTES if item_bytes else None
        self._write_units = max(1.0, item_bytes / WRITE_UNIT_BYTES) if item_bytes else None

    def items_max(self, most: int, read_rate_s: float, write_rate_s: float) -> int:
        """Items of the next page, `most` at most: they cost about PAGE_S of either rate. At least one."""
        fitting = min(
            PAGE_S * read_rate_s / (self._read_units or 1.0), PAGE_S * write_rate_s / (self._write_units or 1.0)
        )
        return most if fitting >= most else max(1, int(fitting))

    def units(self, items: int) -> tuple[float, float]:
        """About what so many items cost to read, and to write."""
        return items * (self._read_units or 1.0), items * (self._write_units or 1.0)

    def read(self, items: int, units: float) -> None:
        """A page was read."""
        if items:
            self._read_units = _mean(self._read_units, units / items)

    def written(self, items: int, units: float) -> None:
        """Of a page so many were written, at this estimate."""
        if items:
            self._write_units = _mean(self._write_units, units / items)


def _mean(before: float | None, now: float) -> float:
    return now if before is None else (before + now) / 2
