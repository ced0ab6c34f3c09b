"""A path so narrow that a large answer does not come through within an attempt's time-out, however often it is asked
for."""

import asyncio

from dynamirror.errors import Side, Unanswered
from dynamirror.settings.groups import WriteSettings

TIMEOUT_S = WriteSettings().attempt_timeout_s


class NarrowPath:
    """The way back from one side."""

    def __init__(self, side: Side, bytes_max: int) -> None:
        self._side = side
        self.bytes_max = bytes_max
        # Of answers that did not come, how large they were.
        self.lost: list[int] = []

    async def carry(self, size_bytes: int) -> None:
        """An answer of this size goes over it."""
        if size_bytes > self.bytes_max:
            self.lost.append(size_bytes)
            await asyncio.sleep(TIMEOUT_S)
            raise Unanswered(self._side, "injected: the answer did not come within the time-out")
