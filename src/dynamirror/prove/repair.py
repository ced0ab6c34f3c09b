"""Mends what a verify has found, by reconcile, some items at a time; then they are looked at again."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from dynamirror.model.item_key import ItemKeys
from dynamirror.model.key import KeyCodec
from dynamirror.model.suspect import Suspect
from dynamirror.ports import Clock
from dynamirror.prove.reconcile import Reconciler

BATCH_ITEMS = 500
LOOK_EVERY_S = 0.1
# An item that is not settled by then stays a duty; the second look tells what it is.
SETTLE_WITHIN_S = 120.0


class Repairer:
    """`run` mends until cancelled. Source and destination may both be written meanwhile: reconcile allows for it."""

    def __init__(self, reconciler: Reconciler, codec: KeyCodec, clock: Clock, settle_s: float) -> None:
        """`settle_s`: T + L, which is not waited for: this process has sent nothing that could still land, and what
        replication has sent it sees to itself.
        """
        self._reconciler = reconciler
        self._keys = ItemKeys(codec)
        self._clock = clock
        self._settle_s = settle_s
        self._waiting: deque[Suspect] = deque()
        self._added = asyncio.Event()

    def add(self, suspect: Suspect) -> None:
        """Mend it; as many may wait as there are suspects (prove/suspects)."""
        self._waiting.append(suspect)
        self._added.set()

    async def run(self, mended: Callable[[Sequence[Suspect]], None]) -> None:
        """Until cancelled; `mended` is told of each batch when it is settled, or has taken too long."""
        while True:
            await self._added.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_ITEMS))]
            if not self._waiting:
                self._added.clear()
            if batch:
                await self._mend(batch)
                mended(batch)

    async def _mend(self, batch: Sequence[Suspect]) -> None:
        keys = [self._keys.of_key(suspect.key) for suspect in batch]
        now_s = self._clock.boottime_s()
        self._reconciler.add([msgspec.json.encode(key.attributes) for key in keys], now_s - self._settle_s)
        while any(map(self._reconciler.is_open, keys)) and self._clock.boottime_s() - now_s < SETTLE_WITHIN_S:
            await self._clock.sleep(LOOK_EVERY_S)
