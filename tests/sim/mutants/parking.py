"""Mutants of parked items (R-13)."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.copy.page import PageSender
from dynamirror.errors import ItemRefused, Retry
from dynamirror.follow.apply import Applier
from dynamirror.follow.parking import Parking
from dynamirror.follow.send import Pending
from dynamirror.model.change import Write
from dynamirror.model.parked import Parked
from tests.sim.mutants.base import COPY, PARKED, mutant

UNCONDITIONAL: Mapping[str, Any] = {}


@mutant("an un-park goes by the version that was known before the write (F-1)", PARKED, hint=19)
def unpark_without_the_version() -> Iterator[None]:
    with patch.object(ParkedRows, "_of_version", lambda self, parked: UNCONDITIONAL):
        yield


@mutant("a park never overwrites a newer version", PARKED, hint=3)
def older_version_parked_over_a_newer_one() -> Iterator[None]:
    with patch.object(ParkedRows, "_not_newer_than", lambda self, parked: UNCONDITIONAL):
        yield


@mutant("the row is durable before the checkpoint passes the item", PARKED, hint=1)
def checkpoint_before_the_row() -> Iterator[None]:
    async def park(self: Applier, pending: Pending, error: ItemRefused) -> None:
        self._durable(pending)
        self._pump()
        await self.parking.park(pending.write, error)

    with patch.object(Applier, "_park", park):
        yield


@mutant("what cannot be parked at once is tried again", PARKED)
def parking_given_up_after_a_failure() -> Iterator[None]:
    async def until_durable(self: Parking, store: ParkedRows, parked: Parked, image: bytes, wanted: Any) -> bool:
        with suppress(Retry):
            await store.park(parked, image)
        return True

    with patch.object(Parking, "_until_durable", until_durable):
        yield


@mutant("a refused item of the copy is parked before its segment passes it", replace(COPY, bad=0.1), hint=1)
def refused_item_of_the_copy_dropped() -> Iterator[None]:
    original = PageSender._refused

    async def refused(self: PageSender, writes: Any, error: Any, life: Any, outcome: Any) -> Any:
        if len(writes) > 1:
            return await original(self, writes, error, life, outcome)
        outcome.parked.add(writes[0].key)
        return ()

    with patch.object(PageSender, "_refused", refused):
        yield


@mutant("a newer change that was written un-parks", replace(PARKED, share=0.0, rows_exact=True))
def never_unparked() -> Iterator[None]:
    def unpark(self: Parking, write: Write, parked: Parked) -> None:
        """It is forgotten."""

    with patch.object(Parking, "unpark", unpark):
        yield
