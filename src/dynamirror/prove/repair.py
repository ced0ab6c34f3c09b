"""Mends what a verify has found, by reconcile, some items at a time; then they are looked at again."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from dynamirror.model.item_key import ItemKey, ItemKeys
from dynamirror.model.key import KeyCodec
from dynamirror.model.suspect import Suspect
from dynamirror.ports import Clock
from dynamirror.prove.reconcile import Reconciler

# In reconcile's hands at once.
OPEN_MAX = 1000
LOOK_EVERY_S = 0.1
# An item that is not settled by then stays a duty; the second look tells what it is. Doubts, of half a minute each, may
# follow each other, and a thousand items take their time where requests do.
SETTLE_WITHIN_S = 1800.0


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
        # With its key, and since when, of each that is in reconcile's hands.
        self._open: dict[Suspect, tuple[ItemKey, float]] = {}
        self._added = asyncio.Event()

    def add(self, suspect: Suspect) -> None:
        """Mend it; as many may wait as there are suspects (prove/suspects)."""
        self._waiting.append(suspect)
        self._added.set()

    async def run(self, mended: Callable[[Sequence[Suspect]], None]) -> None:
        """Until cancelled; `mended` is told of those that are settled, or have taken too long.

        One whose write got no answer waits half a minute, and holds up none of the others.
        """
        while True:
            if not self._open:
                await self._added.wait()
                self._added.clear()
            self._take_up()
            await self._clock.sleep(LOOK_EVERY_S)
            if settled := self._settled():
                mended(settled)

    def _take_up(self) -> None:
        """Hand some more of those that wait to reconcile."""
        now_s = self._clock.boottime_s()
        keys = []
        while self._waiting and len(self._open) < OPEN_MAX:
            suspect = self._waiting.popleft()
            key = self._keys.of_key(suspect.key)
            self._open[suspect] = key, now_s
            keys.append(msgspec.json.encode(key.attributes))
        if keys:
            self._reconciler.add(keys, now_s - self._settle_s)

    def _settled(self) -> list[Suspect]:
        late_s = self._clock.boottime_s() - SETTLE_WITHIN_S
        settled = [
            suspect
            for suspect, (key, since_s) in self._open.items()
            if since_s < late_s or not self._reconciler.is_under_way(key)
        ]
        for suspect in settled:
            del self._open[suspect]
        return settled
