"""Parked items tried again once the destination is mended, as `dynamirror parked retry` does it, beside the workers."""

import asyncio
import random

from dynamirror.aws.items import Items
from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.errors import Side
from dynamirror.observe.metrics import Metrics
from dynamirror.prove.parked import ParkedAt, Retrier, RetryTools, Tried
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.repair import Repairer
from dynamirror.prove.tools import ReconcileTools
from dynamirror.settings.groups import WriteSettings
from dynamirror.testing.memory_items import MemoryItems
from tests.sim.cloud import CODEC, INCARNATION, STATE, TARGET, Cloud
from tests.support.memory_caller import MemoryCaller


async def retried(cloud: Cloud) -> list[Tried]:
    """All that is parked, tried once."""
    store = ParkedRows(MemoryCaller(Side.STATE, cloud.database), STATE, INCARNATION)
    here = MemoryItems(cloud.source.items)
    there = Items(MemoryCaller(Side.DESTINATION, cloud.database), TARGET, CODEC, Side.DESTINATION)
    settings = WriteSettings()
    kit = ReconcileTools(here, there, CODEC, cloud.clock, random.Random(0).random, Metrics(), settings, None)
    reconciler = Reconciler(kit)
    repairer = Repairer(reconciler, CODEC, cloud.clock, settings.settle_s)
    items = [ParkedAt(store, parked) for parked in await store.rows()]
    running = asyncio.create_task(reconciler.run())
    try:
        return await Retrier(RetryTools(here, there, CODEC, cloud.clock, reconciler, repairer)).run(items)
    finally:
        running.cancel()
        await asyncio.wait([running])
