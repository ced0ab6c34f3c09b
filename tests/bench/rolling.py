"""Shards that end while they are read: rolled into a child, or split into two, on a schedule."""

import asyncio
from dataclasses import dataclass

from tests.bench.shards import ManyShards


@dataclass(frozen=True, slots=True)
class RollPlan:
    """Every so often one open shard, by lot, ends: split with this chance while there are fewer than `open_max`."""

    every_s: float
    split_chance: float = 0.3
    open_max: int = 8


async def rolling(stream: ManyShards, plan: RollPlan) -> None:
    """Until cancelled, or the stream is off."""
    while stream.enabled:
        await asyncio.sleep(plan.every_s * stream.random.uniform(0.5, 1.5))
        shards = stream.open_shards()
        if not shards:
            return
        shard_id = stream.random.choice(shards)
        if len(shards) < plan.open_max and stream.random.random() < plan.split_chance:
            stream.split(shard_id)
        else:
            stream.roll(shard_id)
