"""Items that may differ, looked at by key until it is certain; all at the same time, a bounded number (model/suspect).

Destination first, then source: the image of the destination is never newer than that of the source beside it.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from dynamirror.errors import Retry, Side
from dynamirror.loops.log_limit import LogLimit
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.model.backoff import Backoff
from dynamirror.model.diff import Item
from dynamirror.model.item_digest import value_digest
from dynamirror.model.item_key import ItemKey, ItemKeys
from dynamirror.model.key import Key
from dynamirror.model.reading_size import ReadingSize
from dynamirror.model.suspect import Suspect, Verdict
from dynamirror.ports import ItemsRead
from dynamirror.prove.verify_tools import VerifyTools

# Measured at some 850 bytes each; who finds more waits.
OPEN_MAX = 50_000
# Keys of one look: what BatchGetItem takes. Each answer has up to 16 MB.
BATCH_KEYS = 100
BATCHES_AT_ONCE = 2
RETRY = Backoff(first_s=0.1, most_s=5.0)
LOG_EVERY_S = 10.0
# The shortest sleep: a clock of another pace than the loop's must not make it spin.
PAUSE_S_MIN = 0.001

# Told of each verdict: the suspect, source item, destination item. Who is told releases the suspect, or looks again.
Decided: TypeAlias = Callable[[Suspect, Verdict, Item | None, Item | None], None]

log = logging.getLogger("dynamirror.verify")


class Suspects:
    """`run` looks until cancelled; `add` may be called by many at the same time."""

    def __init__(self, tools: VerifyTools, decided: Decided, open_max: int = OPEN_MAX) -> None:
        self._tools = tools
        self._decided = decided
        self._open_max = open_max
        self._keys = ItemKeys(tools.codec)
        self._open: dict[Key, Suspect] = {}
        # When to look, and a number that makes each entry another.
        self._due: list[tuple[float, int, Suspect]] = []
        self._serial = 0
        self._failures = 0
        self._size = ReadingSize(BATCH_KEYS)
        self._changed = asyncio.Event()
        self._released = asyncio.Event()
        self._credentials = {side: CredentialsPatience(tools.clock) for side in tools.items}
        self._log_limit = LogLimit(tools.clock, LOG_EVERY_S)

    def __len__(self) -> int:
        """Those that are not released yet."""
        return len(self._open)

    async def add(self, keys: Iterable[Key], segment: int, noted: Callable[[int], None]) -> None:
        """Look at these from now on; waits while there are too many. Keys that are open already are left out.

        `noted` is told at once of each that is taken up, with its segment.
        """
        for key in keys:
            while len(self._open) >= self._open_max:
                self._released.clear()
                await self._released.wait()
            if key not in self._open:
                suspect = Suspect(key, segment)
                self._open[key] = suspect
                noted(segment)
                self._push(suspect, 0.0)

    def again(self, suspects: Sequence[Suspect]) -> None:
        """Look at open ones from the beginning."""
        for suspect in suspects:
            suspect.again()
            self._push(suspect, 0.0)

    def release(self, suspect: Suspect) -> None:
        """Done with; there is room for another one."""
        del self._open[suspect.key]
        self._released.set()

    async def idle(self) -> None:
        """Return when none is open."""
        while self._open:
            self._released.clear()
            await self._released.wait()

    async def run(self) -> None:
        """Until cancelled. Raises (in a group) Stop."""
        slots = asyncio.Semaphore(BATCHES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                await slots.acquire()
                batch = self._take_due()
                if batch:
                    group.create_task(self._look(batch)).add_done_callback(lambda _: slots.release())
                    continue
                slots.release()
                await self._wait()

    async def _wait(self) -> None:
        now_s = self._tools.clock.boottime_s()
        pause_s = max(PAUSE_S_MIN, self._due[0][0] - now_s) if self._due else None
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait([waiting], timeout=pause_s)
        finally:
            waiting.cancel()

    def _push(self, suspect: Suspect, pause_s: float) -> None:
        self._serial += 1
        heapq.heappush(self._due, (self._tools.clock.boottime_s() + pause_s, self._serial, suspect))
        self._changed.set()

    def _take_due(self) -> list[Suspect]:
        now_s = self._tools.clock.boottime_s()
        taken: list[Suspect] = []
        while self._due and self._due[0][0] <= now_s and len(taken) < self._size.present:
            taken.append(heapq.heappop(self._due)[2])
        return taken

    async def _look(self, batch: list[Suspect]) -> None:
        tools = self._tools
        asked_at_s = tools.clock.boottime_s()
        try:
            there, here = await self._read([self._keys.of_key(suspect.key) for suspect in batch])
        except Retry as error:
            self._put_off(batch, error)
            return
        self._failures = 0
        times = asked_at_s, tools.clock.boottime_s()
        unread = {*there.unprocessed, *here.unprocessed}
        for suspect in batch:
            if suspect.key in unread:
                self._push(suspect, RETRY.delay_s(1, tools.random))
            else:
                self._judge(suspect, there.items.get(suspect.key), here.items.get(suspect.key), times)

    def _judge(self, suspect: Suspect, there: Item | None, here: Item | None, times: tuple[float, float]) -> None:
        patience_s = self._tools.patience_s()
        verdict = suspect.look(value_digest(there), value_digest(here), times, patience_s)
        if verdict is None:
            self._push(suspect, suspect.pause_s(patience_s, self._tools.random))
        else:
            self._decided(suspect, verdict, here, there)

    async def _read(self, keys: list[ItemKey]) -> tuple[ItemsRead, ItemsRead]:
        with self._size.reading(len(keys)):
            there = await self._read_side(Side.DESTINATION, keys)
            left = [key for key in keys if key.key not in there.unprocessed]
            here = await self._read_side(Side.SOURCE, left) if left else ItemsRead({})
        self._size.succeeded(len(keys))
        return there, here

    async def _read_side(self, side: Side, keys: list[ItemKey]) -> ItemsRead:
        try:
            found = await self._tools.items[side].read(keys)
        except Retry as error:
            self._credentials[side].failed(error)
            raise
        self._credentials[side].answered()
        return found

    def _put_off(self, batch: list[Suspect], error: Retry) -> None:
        if self._log_limit.allows():
            log.warning(
                "looking at suspects: %s; trying again",
                error,
                extra={"event": "verify_retry", "facts": {"suspects": len(batch)}},
            )
        for suspect in batch:
            self._push(suspect, RETRY.delay_s(self._failures, self._tools.random))
        self._failures += 1
