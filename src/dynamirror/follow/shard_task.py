"""One shard, from its lease's checkpoint to its end: read -> coalesce -> apply -> checkpoint."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from dynamirror.errors import LeaseLost, Retry
from dynamirror.follow.apply import Applier
from dynamirror.follow.read import ReadTools, ShardReader
from dynamirror.model.backoff import Backoff
from dynamirror.model.change import Page
from dynamirror.model.coalesce import coalesce
from dynamirror.model.key import KeyCodec
from dynamirror.model.lease import LATEST, SHARD_END, TRIM_HORIZON, Lease
from dynamirror.model.skip import Skip
from dynamirror.model.watermark import Watermark
from dynamirror.ports import Clock, MetricSink

RETRY = Backoff(first_s=0.1, most_s=5.0)

log = logging.getLogger("dynamirror.shard")


class Checkpointer(Protocol):
    """The lease of the shard, as far as its task needs it."""

    async def checkpoint(self, position: str, skipped_all: bool = False) -> None:
        """Save how far the shard is durable. Raises LeaseLost, Retry."""


@dataclass(frozen=True, slots=True)
class FollowTools:
    """What all shard tasks of a worker share."""

    read: ReadTools
    applier: Applier
    codec: KeyCodec
    metrics: MetricSink
    checkpoint_every_s: float

    @property
    def clock(self) -> Clock:
        """The worker's clock."""
        return self.read.clock


class ShardTask:
    """Follows one shard under one tenure of its lease."""

    def __init__(self, tools: FollowTools, lease: Lease, held: Checkpointer, skip: Skip, at_latest: bool) -> None:
        """`at_latest`: a LATEST checkpoint may be taken literally, because this process wrote it just now."""
        self.shard_id = lease.shard_id
        self._tools = tools
        self._held = held
        self._skip = skip
        self.watermark = Watermark()
        self._saved: str | None = None
        self.reader = ShardReader(tools.read, lease.shard_id, _position(lease, at_latest))

    async def run(self) -> None:
        """Return once SHARD_END is saved. Raises LeaseLost, Gap, Stop; cancel it to stop early."""
        async with asyncio.TaskGroup() as group:
            saver = group.create_task(self._save_regularly())
            async with contextlib.aclosing(self.reader.pages(self._tools.applier.room)) as pages:
                async for page in pages:
                    self._take(page)
            await self._settled()
            saver.cancel()
        await self._until_saved(lambda: self._held.checkpoint(SHARD_END, self._skip.in_force))

    async def finish(self) -> None:
        """After `run` was cancelled: wait for what is on its way, save the checkpoint. Raises LeaseLost, Retry."""
        await self._settled()
        await self._save()

    async def save_now(self) -> None:
        """Save what is durable now, waiting for nothing. Raises LeaseLost, Retry."""
        await self._save()

    def abandon(self) -> None:
        """The lease is lost: nothing that is not already on the wire may be sent (P-25)."""
        self.watermark.abandoned = True

    def _take(self, page: Page) -> None:
        metrics = self._tools.metrics
        metrics.count("pages_read")
        if not page.records:
            return
        last = page.records[-1].change
        wanted = self._skip.wanted(page.records)
        if not wanted:
            return
        writes = coalesce(wanted, self._tools.codec.of)
        metrics.count("changes_read", len(wanted))
        if len(writes) < len(wanted):
            metrics.count("changes_superseded", len(wanted) - len(writes))
        mark = self.watermark.add(last.sequence_number, len(writes), last.created_s)
        self._tools.applier.submit(writes, mark)

    async def _settled(self) -> None:
        while not self.watermark.settled:
            if self.watermark.abandoned:
                raise LeaseLost(f"changes of {self.shard_id} were dropped: its lease is no longer held")
            await self._tools.applier.progress()

    async def _save_regularly(self) -> None:
        while True:
            await self._tools.clock.sleep(self._tools.checkpoint_every_s)
            try:
                await self._save()
            except Retry as error:
                # The next second tries again with a newer position; the lease's own fate is decided by its conditions.
                self._report(error)

    async def _save(self) -> None:
        position = self.watermark.advance()
        if position is not None and position != self._saved:
            await self._held.checkpoint(position)
            self._saved = position

    async def _until_saved(self, save: Callable[[], Awaitable[None]]) -> None:
        attempt = 0
        while True:
            try:
                return await save()
            except Retry as error:
                self._report(error)
                await self._tools.clock.sleep(RETRY.delay_s(attempt, self._tools.read.random))
                attempt += 1

    def _report(self, error: Retry) -> None:
        log.warning(
            "checkpoint of %s not saved: %s; trying again",
            self.shard_id,
            error,
            extra={"event": "checkpoint_retry", "facts": {"shard": self.shard_id}},
        )


def _position(lease: Lease, at_latest: bool) -> str:
    """Where to begin. LATEST written by an earlier process would skip what came since: begin at the oldest record
    and skip by time instead (the row keeps the start)."""
    if lease.checkpoint == LATEST and not at_latest and lease.start_at_ms is not None:
        return TRIM_HORIZON
    return lease.checkpoint
