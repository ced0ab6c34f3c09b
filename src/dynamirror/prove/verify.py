"""Compares two tables, both directions, while both are written; mends what differs where that is asked for.

1 both tables are read segment by segment; items meet by key and digest (model/meeting)
2 what does not match is a suspect, and is looked at by key until it is certain (prove/suspects)
3 a difference is told at once, and mended by reconcile (prove/repair); then looked at again, from the beginning
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from dynamirror.model.diff import Item
from dynamirror.model.item_key import ItemKeys
from dynamirror.model.key import Key
from dynamirror.model.suspect import Suspect, Verdict
from dynamirror.model.verify import Class, Found, classified
from dynamirror.prove.ledger import Ledger
from dynamirror.prove.repair import Repairer
from dynamirror.prove.segment_pair import SegmentPair
from dynamirror.prove.suspects import Suspects
from dynamirror.prove.verify_tools import VerifyTools

SEGMENTS_AT_ONCE = 4
_DIFFERENCES = (Class.MISSING, Class.EXTRA, Class.DIFFERENT)


class Verifier:
    """One pass. The ledger has what it shows, at any time."""

    def __init__(self, tools: VerifyTools, ledger: Ledger, repairer: Repairer | None = None) -> None:
        self._tools = tools
        self._ledger = ledger
        self._repairer = repairer
        self._keys = ItemKeys(tools.codec)
        self._suspects = Suspects(tools, self._decided)
        self._mending: dict[Suspect, Found] = {}

    @property
    def open(self) -> int:
        """Suspects that are not decided yet."""
        return len(self._suspects)

    async def tables(self) -> None:
        """All segments that the run still has; returns when everything is decided. Raises (in a group) Stop."""
        await self._with_looks(self._segments)

    async def keys(self, of: Callable[[Callable[[Iterable[Key]], Awaitable[None]]], Awaitable[None]]) -> None:
        """Only these: `of` hands out keys, some at a time, to the callable that it is given. Raises as `tables`."""

        async def take(keys: Iterable[Key]) -> None:
            await self._suspects.add(keys, 0, self._ledger.suspect)

        async def work() -> None:
            self._ledger.begin(0)
            await of(take)
            self._ledger.read(0)

        await self._with_looks(work)

    async def _with_looks(self, work: Callable[[], Awaitable[None]]) -> None:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._suspects.run())]
            if self._repairer is not None:
                beside.append(group.create_task(self._repairer.run(self._suspects.again)))
            await work()
            await self._suspects.idle()
            for task in beside:
                task.cancel()

    async def _segments(self) -> None:
        run = self._ledger.run
        left = iter(run.left())

        async def read_some() -> None:
            for number in left:
                await SegmentPair(self._tools, self._ledger, self._suspects, (number, run.segments)).run()

        async with asyncio.TaskGroup() as group:
            for _ in range(SEGMENTS_AT_ONCE):
                group.create_task(read_some())

    def _decided(self, suspect: Suspect, verdict: Verdict, source: Item | None, destination: Item | None) -> None:
        before = self._mending.pop(suspect, None)
        if before is not None:
            self._after_mending(suspect, before, mended=verdict is not Verdict.DIFFERENT)
            return
        if verdict is not Verdict.EQUAL:
            found = self._found(suspect, verdict, source, destination)
            self._ledger.found(suspect.segment, found.kind)
            self._tools.report(found)
            if self._repairer is not None and found.kind in _DIFFERENCES:
                self._mending[suspect] = found
                self._repairer.add(suspect)
                return
        self._done(suspect)

    def _found(self, suspect: Suspect, verdict: Verdict, source: Item | None, destination: Item | None) -> Found:
        key = self._keys.of_key(suspect.key).attributes
        if verdict is Verdict.UNSETTLED:
            return Found(Class.UNSETTLED, key)
        kind, path = classified(source, destination, self._tools.lives, self._tools.clock.wall_s())
        return Found(kind, key, path)

    def _after_mending(self, suspect: Suspect, before: Found, *, mended: bool) -> None:
        self._tools.report(Found(before.kind, before.key, before.path, mended))
        if mended:
            self._ledger.mended(suspect.segment)
        self._done(suspect)

    def _done(self, suspect: Suspect) -> None:
        self._suspects.release(suspect)
        self._ledger.decided(suspect.segment)
