"""What the destination refuses is parked, and un-parked by the next change of it (R-13, docs/decisions/0012).

Parked means: a row of the state table is durable; only then the checkpoint, or the copy, passes the item. An un-park
goes by the version that was known before the newer change was sent:

    1 change 1 is parked; 2 this worker writes change 2, its un-park is on its way, the lease is lost
    3 the next owner writes change 2 again, and parks change 3; its checkpoint passes it
    4 the un-park lands, and nothing remembers change 3 (F-1)
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import MsgspecError

from dynamirror.errors import AccessDenied, ItemRefused, Retry, TooManyParked
from dynamirror.follow.refusal import cannot_park, refusal, stays
from dynamirror.loops.log_limit import LogLimit
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.model.backoff import Backoff
from dynamirror.model.change import Write, image_of
from dynamirror.model.item_key import ItemKeys
from dynamirror.model.key import Key, KeyCodec, key_digest
from dynamirror.model.parked import ERROR_LENGTH_MAX, Parked, chunks_of, version_of
from dynamirror.model.permit import NEVER
from dynamirror.ports import Clock, MetricSink
from dynamirror.state_ports import ParkStore

LOOK_EVERY_S = 10.0
# Where rows may not be removed.
UNPARK_AGAIN_S = 60.0
KEPT_LOG_EVERY_S = 600.0
RETRY = Backoff(first_s=0.1, most_s=5.0)
RETRY_LOG_EVERY_S = 10.0

log = logging.getLogger("dynamirror.parked")


@dataclass(frozen=True, slots=True)
class ParkTools:
    """What parking is given from outside."""

    # None: there is no state table, so nothing can be parked.
    store: ParkStore | None
    codec: KeyCodec
    clock: Clock
    random: Callable[[], float]
    metrics: MetricSink
    worker: str
    # Of the whole task; 0: nothing is parked.
    parked_max: int


def _always() -> bool:
    return True


class Parking:
    """One for each worker. `run` must be running for anything to be un-parked."""

    def __init__(self, tools: ParkTools) -> None:
        self._tools = tools
        self._keys = ItemKeys(tools.codec)
        # The task's parked items, as this worker knows them.
        self.known: dict[Key, Parked] = {}
        # Being parked, and to be un-parked.
        self._coming: set[Key] = set()
        self._leaving: dict[Key, Parked] = {}
        self._left = asyncio.Event()
        self._asked_at_s = NEVER
        # Changed here since the last question was asked, whose answer may be older.
        self._moved: set[Key] = set()
        self._asking = asyncio.Lock()
        self._credentials = CredentialsPatience(tools.clock)
        self._log_limit = LogLimit(tools.clock, RETRY_LOG_EVERY_S)
        self._kept_limit = LogLimit(tools.clock, KEPT_LOG_EVERY_S)
        # Of items that were told of: each change of one may be refused, and it may change often.
        self._again_limit = LogLimit(tools.clock, RETRY_LOG_EVERY_S)

    def __repr__(self) -> str:
        return f"Parking(known={len(self.known)}, coming={len(self._coming)}, leaving={len(self._leaving)})"

    async def run(self) -> None:
        """Look at the rows, and un-park, until cancelled. Raises (in a group) Stop."""
        if self._tools.store is None:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_loop())
            group.create_task(self._unpark_loop())

    async def known_since(self, since_s: float) -> None:
        """Until `known` is not older than this boot time. Raises Stop."""
        store = self._tools.store
        attempt = 0
        while store is not None and self._asked_at_s < since_s:
            async with self._asking:
                if self._asked_at_s >= since_s:
                    return
                try:
                    await self._look(store)
                    continue
                except Retry as error:
                    self._failed("reading which items are parked", error)
            await self._pause(attempt)
            attempt += 1

    # --- park

    async def park(self, write: Write, error: ItemRefused, wanted: Callable[[], bool] = _always) -> bool:
        """True once the item is durably parked, or a newer version of it. False: `wanted` has come to say no.

        Raises Stop where it may not be parked.
        """
        store = self._tools.store
        if store is None:
            raise cannot_park(write, error, "It cannot be parked, since there is no state table")
        self._refuse_beyond_limit(write, error)
        parked = self._parked(write, error)
        self._coming.add(write.key)
        try:
            if not await self._until_durable(store, parked, image_of(write), wanted):
                return False
        finally:
            self._coming.discard(write.key)
        self._note(write, parked)
        return True

    def _refuse_beyond_limit(self, write: Write, error: ItemRefused) -> None:
        most = self._tools.parked_max
        if not most:
            raise cannot_park(write, error, "It is not parked (--max-parked 0)")
        if write.key not in self.known and len(self.known.keys() | self._coming | {write.key}) > most:
            raise TooManyParked(
                f"{refusal(write, error)}. It is one more than may be parked (--max-parked {most}), so something may "
                f"be wrong with the destination table; {stays(write)}. Look at `dynamirror parked list`, mend the "
                "table, try them again with `dynamirror parked retry`, and start again"
            )

    def _parked(self, write: Write, error: ItemRefused) -> Parked:
        image = image_of(write)
        return Parked(
            key_digest(write.key),
            self._keys.of_write(write).attributes,
            version_of(write.sequence_number),
            str(error)[:ERROR_LENGTH_MAX],
            int(self._tools.clock.wall_s() * 1000),
            self._tools.worker,
            len(chunks_of(image)),
            len(image),
        )

    async def _until_durable(self, store: ParkStore, parked: Parked, image: bytes, wanted: Callable[[], bool]) -> bool:
        attempt = 0
        while wanted():
            try:
                await store.park(parked, image)
                return True
            except Retry as error:
                self._failed("parking an item", error)
                await self._pause(attempt)
                attempt += 1
        return False

    def _note(self, write: Write, parked: Parked) -> None:
        before = self.known.get(write.key)
        self._moved.add(write.key)
        if before is None or before.version <= parked.version:
            self.known[write.key] = parked
        self._gauge()
        if before is not None and before.version >= parked.version:
            # Read again after a lease had changed hands, or sent a second time: it was told of.
            return
        self._tools.metrics.count("items_parked")
        if before is not None and not self._again_limit.allows():
            return
        log.error(
            "%s. It is parked, the others go on: it differs from the source until a newer change of it is taken; see "
            "`dynamirror parked show %s`, mend the destination table or the item, then `dynamirror parked retry`",
            refusal(write, parked.error),
            parked.id,
            extra={"event": "item_parked", "facts": {"item": parked.id, "change": write.sequence_number}},
        )

    # --- un-park

    def unpark(self, write: Write, parked: Parked) -> None:
        """The write was answered; `parked` was known of its item before it was sent. Done in the background.

        An older change, read again after a lease had changed hands, says nothing about what is parked.
        """
        if parked.version <= version_of(write.sequence_number):
            self._leaving[write.key] = parked
            self._left.set()

    async def flush(self) -> None:
        """Un-park what is to be un-parked now; for an orderly stop. Raises Retry, Stop."""
        store = self._tools.store
        if store is None:
            return
        for key, parked in list(self._leaving.items()):
            removed = await store.unpark(parked)
            if self._leaving.get(key) is parked:
                del self._leaving[key]
            known = self.known.get(key)
            if known is not None and known.version == parked.version:
                self._moved.add(key)
                del self.known[key]
                self._gauge()
            if removed:
                log.info(
                    "no longer parked, since a newer change of it was written: %r",
                    key,
                    extra={"event": "item_unparked", "facts": {"item": parked.id}},
                )

    async def _unpark_loop(self) -> None:
        attempt = 0
        while True:
            await self._left.wait()
            self._left.clear()
            try:
                await self.flush()
                attempt = 0
            except AccessDenied as error:
                self._say_kept(error)
                await self._tools.clock.sleep(UNPARK_AGAIN_S)
                self._left.set()
            except Retry as error:
                self._left.set()
                self._failed("un-parking an item", error)
                await self._pause(attempt)
                attempt += 1

    def _say_kept(self, error: AccessDenied) -> None:
        """A stop would help nobody: what is to be un-parked would be forgotten with this worker."""
        if self._kept_limit.allows():
            log.error(
                "%d items were written since they were parked, and stay in the list of parked items: %s",
                len(self._leaving),
                error,
                extra={"event": "parked_kept", "facts": {"items": len(self._leaving)}},
            )

    # --- what is parked

    async def _look_loop(self) -> None:
        await self.known_since(self._tools.clock.boottime_s())
        if self.known:
            log.warning(
                "%d items are parked, and differ from the source: see `dynamirror parked list`",
                len(self.known),
                extra={"event": "items_are_parked", "facts": {"items": len(self.known)}},
            )
        while True:
            await self._tools.clock.sleep(LOOK_EVERY_S)
            await self.known_since(self._tools.clock.boottime_s())

    async def _look(self, store: ParkStore) -> None:
        asked_at_s = self._tools.clock.boottime_s()
        self._moved.clear()
        known = {}
        for parked in await store.rows():
            try:
                known[self._keys.of_item(parked.key).key] = parked
            except MsgspecError:
                log.warning(
                    "the parked item %s is of no such table as this one; it is left alone",
                    parked.id,
                    extra={"event": "parked_strange", "facts": {"item": parked.id}},
                )
        for key in self._moved:
            known.pop(key, None)
            if key in self.known:
                known[key] = self.known[key]
        self.known = known
        self._asked_at_s = asked_at_s
        self._credentials.answered()
        self._gauge()

    def _gauge(self) -> None:
        self._tools.metrics.gauge("parked", len(self.known))

    # --- common

    def _failed(self, doing: str, error: Retry) -> None:
        """Raises Stop when credentials stay expired."""
        self._credentials.failed(error)
        if self._log_limit.allows():
            log.warning("%s: %s; trying again", doing, error, extra={"event": "park_retry", "facts": {"doing": doing}})

    async def _pause(self, attempt: int) -> None:
        await self._tools.clock.sleep(RETRY.delay_s(attempt, self._tools.random))
