"""What is parked of a task, from settings alone: listed, shown, tried again, dropped. What the command calls."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

from dynamirror.aws.connect import Connections, connect
from dynamirror.aws.items import Items
from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.engines.assemble import SystemClock, jitter
from dynamirror.engines.attempts import patiently
from dynamirror.engines.launch import fastest_loop
from dynamirror.engines.mending import assemble_mending, mending_beside
from dynamirror.engines.preflight import both_tables
from dynamirror.engines.until_signal import until_signal
from dynamirror.engines.verify_state import open_state, parked_stores, task_life
from dynamirror.engines.waiting import aloud, reach_aloud
from dynamirror.errors import NotFound, Refused, Side
from dynamirror.model.key import KeyCodec
from dynamirror.model.parked import Parked, named
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.prove.parked import ParkedAt, Retrier, RetryTools, Tried
from dynamirror.settings.groups import ReplicationSettings

T = TypeVar("T")


class ParkedItems:
    """The parked items of one task: those of its workers, and those of a copy at rest between the same tables."""

    def __init__(
        self,
        connections: Connections,
        settings: ReplicationSettings,
        clock: Clock,
        tables: tuple[TableFacts, TableFacts],
        stores: Sequence[ParkedRows],
    ) -> None:
        """`tables`: source and destination."""
        self._connections = connections
        self._settings = settings
        self._clock = clock
        self._tables = tables
        self._stores = stores

    async def all(self) -> list[Parked]:
        """Oldest first. Raises Stop, or a Retry that did not pass."""
        return [item.parked for item in await self._found()]

    async def image(self, wanted: str) -> tuple[Parked, bytes | None]:
        """One item, by its id or the beginning of it, and its image if there is one. Raises Refused for another id."""
        [item] = await self._chosen([wanted])
        store = item.store
        return item.parked, await patiently(self._clock, "the parked item", lambda: store.image(item.parked))

    async def retry(self, wanted: Sequence[str]) -> list[Tried]:
        """Try these again, or all. Raises (in a group) as `image`."""
        items = await self._chosen(wanted) if wanted else await self._found()
        if not items:
            return []
        source, destination = self._tables
        settings, connections = self._settings, self._connections
        codec = KeyCodec(source.schema)
        drop = settings.destination.drop_aws_rep
        here = Items(connections.source, settings.source.table, codec, Side.SOURCE, drop_marks=drop)
        there = Items(connections.destination, settings.destination.table, codec, Side.DESTINATION)
        state = await open_state(reach_aloud(connections), settings, (source, destination), self._clock)
        mending = assemble_mending((here, there), codec, self._clock, settings, state)
        async with mending_beside(mending, self._clock):
            tools = RetryTools(here, there, codec, self._clock, mending.reconciler, mending.repairer)
            return await Retrier(tools).run(items)

    async def drop(self, wanted: Sequence[str]) -> tuple[list[Parked], list[Parked]]:
        """Forget these, or all; returns those that are forgotten, and those that were parked anew meanwhile."""
        items = await self._chosen(wanted) if wanted else await self._found()

        for item in items:
            await patiently(self._clock, "dropping an item", partial(item.store.unpark, item.parked))
        left = {parked.id: parked for parked in await self.all()}
        dropped = [item.parked for item in items if item.parked.id not in left]
        return dropped, [left[item.parked.id] for item in items if item.parked.id in left]

    async def _found(self) -> list[ParkedAt]:
        items = [
            ParkedAt(store, parked)
            for store in self._stores
            for parked in await patiently(self._clock, "the parked items", store.rows)
        ]
        return sorted(items, key=lambda item: item.parked.at_ms)

    async def _chosen(self, wanted: Sequence[str]) -> list[ParkedAt]:
        found = await self._found()
        ids = {item.parked.id for item in found}
        chosen = {named(word, ids) for word in wanted}
        return [item for item in found if item.parked.id in chosen]


def run_parked(
    settings: ReplicationSettings, environ: Mapping[str, str], work: Callable[[ParkedItems], Awaitable[T]]
) -> T | None:
    """What `work` has found; None: a signal ended it. For a caller without a loop. Raises DynamirrorError, in a group
    perhaps."""
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(until_signal(_run(settings, environ, work)))


async def _run(
    settings: ReplicationSettings, environ: Mapping[str, str], work: Callable[[ParkedItems], Awaitable[T]]
) -> T:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        connections = await aloud("credentials", stack.enter_async_context(connect(settings, environ, clock, jitter())))
        items = await _opened(connections, settings, clock)
        fresh = asyncio.ensure_future(connections.keep_fresh())
        stack.callback(fresh.cancel)
        return await work(items)


async def _opened(connections: Connections, settings: ReplicationSettings, clock: Clock) -> ParkedItems:
    reach = reach_aloud(connections)
    tables = await both_tables(reach, settings)
    name = state_table_name(settings.task.lease_table)
    try:
        await reach.state_control.describe_table(name)
    except NotFound as error:
        raise Refused(
            f"there is no state table {name}, so nothing is parked: no worker of this task has run, or --task-name or "
            "--kcl-region are not those of its workers"
        ) from error
    life = await task_life(reach, settings, tables[0], clock)
    return ParkedItems(connections, settings, clock, tables, parked_stores(reach, settings, life, tables))
