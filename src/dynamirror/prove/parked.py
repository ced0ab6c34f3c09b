"""Tries parked items again (R-13): by what the source has now, never by the image that was parked.

    1 retry reads the parked image of change 1; 2 change 2 is written, and un-parks; 3 retry writes the image (F-2)

So reconcile mends the item (prove/repair). Then both sides are looked at, destination first, and where they are equal
the row goes, if it still has the version that was read before all this: what is parked meanwhile stays.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from dynamirror.errors import Retry
from dynamirror.model.backoff import Backoff
from dynamirror.model.item_key import ItemKey, ItemKeys
from dynamirror.model.key import Key, KeyCodec
from dynamirror.model.parked import Parked
from dynamirror.model.suspect import Suspect
from dynamirror.ports import Clock, ItemReader
from dynamirror.prove.heal import same
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.repair import Repairer
from dynamirror.state_ports import ParkStore

# What BatchGetItem takes.
KEYS_AT_ONCE = 100
# An item whose source moves on under every look is said to differ; the next try finds it, or its next change.
LOOKS_MAX = 5
LOOK = Backoff(first_s=0.2, most_s=2.0)


log = logging.getLogger("dynamirror.parked")


class Fate(Enum):
    """What came of trying an item again; the value is the word that is shown."""

    SETTLED = "settled"
    # It is settled, but has been parked anew meanwhile.
    PARKED_ANEW = "parked anew"
    REFUSED = "refused"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class ParkedAt:
    """An item, and the store that has its row."""

    store: ParkStore
    parked: Parked


@dataclass(frozen=True, slots=True)
class Tried:
    """One item that was tried again."""

    parked: Parked
    fate: Fate
    # What the destination says now.
    why: str = ""


@dataclass(frozen=True, slots=True)
class RetryTools:
    """What trying again is given from outside. The reconciler runs meanwhile."""

    source: ItemReader
    destination: ItemReader
    codec: KeyCodec
    clock: Clock
    reconciler: Reconciler
    repairer: Repairer


class Retrier:
    """Use once."""

    def __init__(self, tools: RetryTools) -> None:
        self._tools = tools
        self._keys = ItemKeys(tools.codec)

    async def run(self, items: Sequence[ParkedAt]) -> list[Tried]:
        """All of them, in order. Raises (in a group) Stop, or a Retry that did not pass."""
        keys = {item.parked.id: self._keys.of_item(item.parked.key) for item in items}
        await self._mend({key.key for key in keys.values()})
        equal: set[Key] = set()
        for attempt in range(LOOKS_MAX):
            left = {key.key: key for key in keys.values() if key.key not in equal}
            left = {name: key for name, key in left.items() if self._tools.reconciler.refusal(key) is None}
            if not left:
                break
            if attempt:
                await self._tools.clock.sleep(LOOK.delay_s(attempt, lambda: 1.0))
            equal |= await self._equal(list(left.values()))
        return [await self._fate(item, keys[item.parked.id], equal) for item in items]

    async def _mend(self, keys: set[Key]) -> None:
        """Until reconcile has settled them, or found that it cannot."""
        left = {Suspect(key) for key in keys}
        if not left:
            return
        over = asyncio.Event()

        def mended(suspects: Sequence[Suspect]) -> None:
            left.difference_update(suspects)
            if not left:
                over.set()

        async with asyncio.TaskGroup() as group:
            for suspect in left:
                self._tools.repairer.add(suspect)
            running = group.create_task(self._tools.repairer.run(mended))
            await over.wait()
            running.cancel()

    async def _equal(self, keys: Sequence[ItemKey]) -> set[Key]:
        """Those that are the same on both sides at one look, destination first: it is never newer than the source."""
        equal: set[Key] = set()
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            try:
                there = await self._tools.destination.read(some)
                here = await self._tools.source.read(some)
            except Retry as error:
                log.warning("looking at %d items: %s", len(some), error, extra={"event": "parked_look", "facts": {}})
                continue
            unread = {*there.unprocessed, *here.unprocessed}
            equal |= {
                key.key
                for key in some
                if key.key not in unread and same(there.items.get(key.key), here.items.get(key.key))
            }
        return equal

    async def _fate(self, item: ParkedAt, key: ItemKey, equal: set[Key]) -> Tried:
        if key.key in equal:
            gone = await self._patiently(partial(self._removed, item))
            return Tried(item.parked, Fate.SETTLED if gone else Fate.PARKED_ANEW)
        why = self._tools.reconciler.refusal(key)
        if why is None:
            return Tried(item.parked, Fate.DIFFERS)
        # Its row remembers it; a duty would be tried, and told of, every ten minutes by the task's workers.
        self._tools.reconciler.give_up(key)
        return Tried(item.parked, Fate.REFUSED, why)

    async def _removed(self, item: ParkedAt) -> bool:
        """Whether no row of the item is left; one may be there again, of a newer version."""
        return await item.store.unpark(item.parked) or all(row.id != item.parked.id for row in await item.store.rows())

    async def _patiently(self, call: Callable[[], Awaitable[bool]]) -> bool:
        """Raises the last Retry."""
        for attempt in range(LOOKS_MAX):
            try:
                return await call()
            except Retry as error:
                log.warning("removing a row: %s", error, extra={"event": "parked_look", "facts": {}})
                await self._tools.clock.sleep(LOOK.delay_s(attempt, lambda: 1.0))
        return await call()
