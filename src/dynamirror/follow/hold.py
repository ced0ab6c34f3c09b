"""While a copy runs, changes wait (R-1): what the copy read before a change was made must be written before the change.

    1 a page of the copy is read, with v1 of an item
    2 the item is changed, or deleted; the change is received, and would be sent at once
    3 the page is written: v1 stands over v2, or a deleted item is back

A page of the copy is sent D after it was read at the latest, and lands T + L later at the latest, so a change waits for
H > D + T + L from its receipt. One that is older than H + A by its own stamp and the service's clock, as in a
backlog, need not wait: it is that old whatever the clocks (R-3).

H is the longer one of this worker's own and the row's: whoever announced the copy may have a longer stray life. While
the row has not been read, nothing is due; what waits already waits for longer once it is.

What waits costs memory up to a budget. Beyond it a page is dropped, and read again when it is due: the place up to
which it reached, and when, is kept. There is one place a second of the hold at most, and one for all that is due.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from dynamirror.follow.settling import Budget
from dynamirror.loops.signal import Signal
from dynamirror.model.change import Page
from dynamirror.model.copy import CopyKnowledge
from dynamirror.ports import Clock
from dynamirror.settings.groups import HoldSettings

# Dropped pages that become due within so long are remembered as one.
TOGETHER_S = 1.0


@dataclass(frozen=True, slots=True)
class HoldTools:
    """What all shards of a worker share. `learned` is notified whenever the knowledge may have changed."""

    knowledge: CopyKnowledge
    learned: Signal
    settings: HoldSettings
    budget: Budget


@dataclass(slots=True)
class Held:
    """A page that waits, or (`page` None) what was dropped up to a place in the stream."""

    first_sequence: str
    last_sequence: str
    due_at_s: float
    page: Page | None
    first_due_at_s: float
    # How many, and when the first one was made (seconds since the epoch; 0: not known).
    changes: int = 0
    made_s: float = 0.0
    # Some of it was trimmed, which is noted as a gap: whatever comes first, up to the last.
    left: bool = False


class Hold:
    """The pages of one shard that wait, in stream order."""

    def __init__(self, tools: HoldTools, clock: Clock) -> None:
        self._tools = tools
        self._clock = clock
        self._held: deque[Held] = deque()
        # The longest H that was heard of: all that waits is due by it.
        self._longest_s = tools.settings.hold_s
        self._changed = Signal()

    def __repr__(self) -> str:
        return f"Hold({len(self._held)} held)"

    @property
    def changes(self) -> int:
        """How many wait."""
        return sum(held.changes for held in self._held)

    @property
    def oldest_s(self) -> float:
        """When the first that waits was made, seconds since the epoch; 0: none waits, or it is not known."""
        return self._held[0].made_s if self._held else 0.0

    @property
    def holds(self) -> bool:
        """Changes have to wait now."""
        return self._tools.knowledge.holds(self._clock.boottime_s(), self._clock.wall_s())

    def passes(self, page: Page) -> bool:
        """Whether a page that was just received may be handed on at once."""
        return not self._held and (not self.holds or (self._row_was_read() and self._wait_s(page) <= 0))

    def keep(self, page: Page, droppable: bool = True) -> None:
        """Let a page with records wait that was just received."""
        now_s = self._clock.boottime_s()
        self._row_was_read()
        due_at_s = now_s + self._wait_s(page)
        self._unite_due(now_s)
        first, last = page.records[0].change.sequence_number, page.records[-1].change.sequence_number
        about = (due_at_s, len(page.records), page.records[0].change.created_s)
        budget = self._tools.budget
        if not droppable or budget.used + page.size_bytes <= budget.bytes_max:
            budget.used += page.size_bytes
            self._held.append(Held(first, last, due_at_s, page, *about))
        elif self._joins(due_at_s):
            before = self._held[-1]
            before.last_sequence, before.due_at_s = last, max(before.due_at_s, due_at_s)
            before.changes += len(page.records)
        else:
            self._held.append(Held(first, last, due_at_s, None, *about))
        self._changed.notify()

    def _row_was_read(self) -> bool:
        """Whether H is known; if it has grown, what waits is due that much later."""
        hold_s = self._tools.knowledge.hold_s(self._tools.settings.hold_s)
        if hold_s is None:
            return False
        more_s = max(0.0, hold_s - self._longest_s)
        if more_s:
            self._longest_s = hold_s
            for held in self._held:
                held.due_at_s += more_s
                held.first_due_at_s += more_s
        return True

    def _joins(self, due_at_s: float) -> bool:
        """Whether what is dropped is remembered with the last that was. Never with the first of all: up to where that
        one is read again may have been decided."""
        if len(self._held) < 2:
            return False
        last = self._held[-1]
        return last.page is None and due_at_s - last.first_due_at_s <= TOGETHER_S

    def _unite_due(self, now_s: float) -> None:
        """Of dropped places that are due, because nothing can be handed on, the last says all: what is remembered does
        not grow with the time that this takes. Not the first of all, as above."""
        while len(self._held) > 2 and all(
            held.page is None and held.due_at_s <= now_s for held in (self._held[1], self._held[2])
        ):
            self._held[2].first_sequence = self._held[1].first_sequence
            self._held[2].changes += self._held[1].changes
            self._held[2].made_s = self._held[1].made_s
            del self._held[1]

    async def due(self) -> Held:
        """The first that waits, once it is due. It goes on waiting until `handed_on`."""
        while True:
            if not self._held:
                await self._changed.wait()
                continue
            known = self._row_was_read()
            left_s = self._held[0].due_at_s - self._clock.boottime_s()
            if (known and left_s <= 0) or not self.holds:
                return self._held[0]
            learned = self._tools.learned.wait()
            if not known:
                await learned
                continue
            timer = asyncio.ensure_future(self._clock.sleep(left_s))
            try:
                await asyncio.wait([learned, timer], return_when=asyncio.FIRST_COMPLETED)
            finally:
                learned.cancel()
                timer.cancel()

    def handed_on(self) -> None:
        """The first that waited waits no more."""
        held = self._held.popleft()
        self._give_back(held)
        self._changed.notify()

    def flushed(self) -> asyncio.Future[None] | None:
        """None when nothing waits; else a future that is done when it is worth asking again."""
        return self._changed.wait() if self._held else None

    async def emptied(self) -> None:
        """Return once nothing waits."""
        while self._held:
            await self._changed.wait()

    def forget(self) -> None:
        """The tenure is over: the next one reads all of it again. Idempotent."""
        while self._held:
            self._give_back(self._held.popleft())

    def _give_back(self, held: Held) -> None:
        if held.page is not None:
            self._tools.budget.used -= held.page.size_bytes

    def _wait_s(self, page: Page) -> float:
        """How long from its receipt on the page has to wait."""
        hold_s = self._longest_s
        stamps_s = [record.change.created_s for record in page.records]
        if not page.served_s or not all(stamps_s):
            # How old it is, is not known.
            return hold_s
        newest_s = max(stamps_s)
        return min(hold_s, newest_s + hold_s + self._tools.settings.age_s - page.served_s)
