"""One lease from its taking to its end: wait for the parents, follow the shard, adopt the children."""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dynamirror.errors import LeaseLost, Retry
from dynamirror.fleet.ancestry import Ancestry
from dynamirror.fleet.attempts import persist
from dynamirror.fleet.leases import HeldLease, LeaseTools
from dynamirror.fleet.shards import ShardDirectory
from dynamirror.follow.settling import Aftermath
from dynamirror.follow.shard_task import SHORTEST_S, ShardTask
from dynamirror.follow.tools import Entry, FollowTools
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.signal import Signal
from dynamirror.model.backoff import Backoff
from dynamirror.model.beginning import read_from
from dynamirror.model.health import Doing, ShardSigns
from dynamirror.model.lease import LATEST, SHARD_END, Lease, Predecessor, Taken, Terms
from dynamirror.model.permit import NEVER
from dynamirror.model.skip import Skip
from dynamirror.settings.bounds import SIGNATURE_LIFE_S
from dynamirror.settings.groups import WriteSettings

# A child may show in the listing seconds after its parent closed. After these attempts (about 15 s in
# all) the regular sync finds it.
CHILDREN = Backoff(first_s=0.2, most_s=4.0)
CHILDREN_ATTEMPTS_MAX = 8
# From the first look that shows a child to the second.
SIBLINGS_S = 5.0

log = logging.getLogger("dynamirror.leases")


@dataclass(frozen=True, slots=True)
class TenureTools:
    """What all tenures of a worker share."""

    follow: FollowTools
    leases: LeaseTools
    write: WriteSettings
    directory: ShardDirectory
    terms: Terms
    parent_poll_s: float
    # Notified whenever a shard was finished here, so that its children do not wait for the next poll.
    finished: Signal


class Tenure:
    """Holds one lease and follows its shard. `run` ends when the shard has ended or the lease is lost."""

    def __init__(self, tools: TenureTools, held: HeldLease, start: Callable[[Taken], None]) -> None:
        """`start` begins the tenure of a child lease that this worker got."""
        self.held = held
        # It is about to be handed over to another worker.
        self.leaving = False
        self._tools = tools
        self._start = start
        self._shard: ShardTask | None = None
        self._credentials = CredentialsPatience(tools.follow.clock)
        follow = tools.follow
        self._ancestry = Ancestry(
            tools.leases.store, follow.read.stream, tools.directory, tools.finished, follow.clock, follow.read.random
        )
        # Created here and never owned before: nothing has come since LATEST was written but what is read now.
        self._at_latest = self.shard_id in tools.directory.created_at_latest and held.lease.counter == 1
        self._asks_latest = read_from(held.lease, self._at_latest) == LATEST
        self._runner: asyncio.Task[None] | None = None
        self._abandoned = False
        # What was sent for a parent that a Java worker has ended may land until then.
        self._parent_ends_at_s = NEVER

    def begin(self, runner: asyncio.Task[None]) -> None:
        """Name the task that awaits `run`; known before its first step, so that `halt` can always end it."""
        self._runner = runner

    @property
    def shard_id(self) -> str:
        """The shard this is about."""
        return self.held.lease.shard_id

    async def run(self) -> None:
        """Return at the shard's end, or when the lease is lost. Raises Gap, Stop."""
        try:
            await self._follow()
            await self._adopt_children()
        except* LeaseLost:
            self._abandon()

    def lose(self) -> None:
        """Somebody else has the lease: send nothing more, end (P-25)."""
        self._abandon()
        if self._runner is not None:
            self._runner.cancel()

    async def halt(self) -> None:
        """Stop reading, so that `finish` or `save_now` can follow. Waits until `run` has ended."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])

    @property
    def settled(self) -> bool:
        """Nothing that was sent for the shard, by this owner or the one before, may still land (R-7)."""
        if self._shard is None:
            return self._tools.follow.clock.boottime_s() >= self._ends_at_s
        return self._shard.quiet

    def drop(self) -> None:
        """After `halt`: send nothing more. What waits is the next owner's, behind the checkpoint."""
        if self._shard is not None:
            self._shard.abandon(self._tools.directory.java_beside)

    @property
    def misses_nothing(self) -> bool:
        """What comes from now on will be read: LATEST is where the stream is once it is asked for, every other place is
        known, or comes of the parents' ends."""
        return not self._asks_latest or (self._shard is not None and self._shard.reader.opened)

    async def finish(self) -> None:
        """Drain and save, after `halt`. Raises LeaseLost, Retry."""
        if self._shard is not None:
            await self._shard.finish()

    async def save_now(self) -> None:
        """Save what is durable, waiting for nothing else, after `halt`. Raises LeaseLost, Retry."""
        if self._shard is not None:
            await self._shard.save_now()

    async def renew(self) -> None:
        """Show that the owner lives. Raises LeaseLost, Retry."""
        await self.held.renew(self._nothing_until_ms, self._tools.follow.clock.boottime_s() >= self._ends_at_s)

    @property
    def may_leave(self) -> bool:
        """It may be handed over: the shard is not finished, and nothing of the owner before may still land (C-4)."""
        now_s = self._tools.follow.clock.boottime_s()
        return not (self.leaving or self.held.lease.finished) and now_s >= self._ends_at_s

    async def hand_over(self, to: Terms, clean: bool) -> bool:
        """As HeldLease.hand_over, after `drop`."""
        self._tools.follow.metrics.count("leases_released", given := await self.held.hand_over(to, clean))
        return given

    async def release(self) -> None:
        """Give the lease up, after `drop`. Raises LeaseLost, Retry."""
        await self.held.release(self._nothing_until_ms)
        self._tools.follow.metrics.count("leases_released")

    def signs(self) -> ShardSigns:
        """What model/health judges."""
        if self._shard is None or self.held.lease.finished:
            ended = self.held.lease.finished
            doing = Doing.ENDED if ended else Doing.WAITING_FOR_PARENTS
            return ShardSigns(self.shard_id, doing, unread=self._ancestry.unread)
        return self._shard.signs()

    @property
    def figures(self) -> tuple[int, float | None]:
        """How many changes wait for a copy, and how far it is behind, in seconds; None: it is not read (yet)."""
        if self._shard is None or self.held.lease.finished:
            return 0, None
        return self._shard.figures()

    @property
    def _nothing_until_ms(self) -> int | None:
        return self._shard.nothing_until_ms if self._shard is not None else None

    def note_closed(self) -> None:
        """Tell the reader what the listing says of its shard."""
        if self._shard is not None:
            self._shard.reader.closed = self._tools.directory.is_closed(self.shard_id)

    def _abandon(self) -> None:
        if self._shard is not None:
            self._shard.abandon(self.held.lost_to_java)
        if self._abandoned:  # A renewal and a checkpoint may find it one after the other.
            return
        self._abandoned = True
        self._tools.follow.metrics.count("leases_lost")
        facts = {"shard": self.shard_id}
        log.warning("lease of %s lost to another worker", self.shard_id, extra={"event": "lease_lost", "facts": facts})

    async def _follow(self) -> None:
        lease = self.held.lease
        if lease.finished:
            self._tools.finished.notify()
            return
        await self._noticed_by_java()
        skip_allowed = await self._ancestry.parents_finished(lease, self._tools.parent_poll_s)
        if await self._passed_over(lease):
            return
        if self._ancestry.ended_by_java and not lease.started:
            self._parent_ends_at_s = self._tools.follow.clock.boottime_s() + SIGNATURE_LIFE_S
        follow = self._tools.follow
        # What the owner before has parked: changes of it un-park it from the first one on.
        await follow.applier.parking.known_since(follow.clock.boottime_s())
        skip = Skip(lease.start_at_ms if skip_allowed else None)
        entry = Entry(skip, self._at_latest, self._aftermath())
        shard = self._shard = ShardTask(self._tools.follow, self.held, entry)
        self.held.applied_to_ms = lambda: shard.applied_to_ms
        self.note_closed()
        log.info(
            "reading %s from %s",
            lease.shard_id,
            lease.checkpoint,
            extra={"event": "shard_started", "facts": {"shard": lease.shard_id, "at": lease.checkpoint}},
        )
        await self._shard.run()
        facts = {"shard": lease.shard_id}
        log.info("%s read to its end", lease.shard_id, extra={"event": "shard_end", "facts": facts})
        self._tools.finished.notify()

    @property
    def _ends_at_s(self) -> float:
        """From when on nothing of the predecessor can land. What a Java worker has sent can for as long as its
        signature is valid."""
        write = self._tools.write
        waits_s = {
            Predecessor.NOBODY: 0.0,
            # It may have been alive again when the take was applied: its last proof then allowed sending once more.
            Predecessor.DYNAMIRROR: write.settle_s + self._tools.follow.lease.proof_s + write.clock_drift_s,
            Predecessor.UNKNOWN: max(write.settle_s, SIGNATURE_LIFE_S),
        }
        return max(self.held.taken_at_s + waits_s[self.held.predecessor], self._parent_ends_at_s)

    def _aftermath(self) -> Aftermath | None:
        """None when nothing of a predecessor can land any more: it left a clean mark, or there was none."""
        ends_at_s = self._ends_at_s
        if self._tools.follow.clock.boottime_s() >= ends_at_s:
            return None
        log.info(
            "%s was not left in order: its checkpoint waits, and what is written until then is written once more",
            self.shard_id,
            extra={
                "event": "unclean_start",
                "facts": {"shard": self.shard_id, "left_by": self.held.predecessor.value},
            },
        )
        return Aftermath(ends_at_s, self._tools.follow.budget, self._tools.write.cautious)

    async def _noticed_by_java(self) -> None:
        """Wait until a Java worker that had the lease has ended its batch (P-11): it may write over newer images."""
        if not self.held.stolen or self.held.predecessor is not Predecessor.UNKNOWN:
            return
        clock = self._tools.follow.clock
        noticed_at_s = self.held.taken_at_s + self._tools.follow.lease.java_notices_s
        while (left_s := noticed_at_s - clock.boottime_s()) > 0:
            await clock.sleep(max(left_s, SHORTEST_S))

    async def _passed_over(self, lease: Lease) -> bool:
        """Its row was made anew: it is finished, and not read a second time."""
        if not await self._ancestry.read_before(lease):
            return False
        log.warning(
            "the row of %s was made anew; its children prove that it was read to its end, so it is not read again",
            lease.shard_id,
            extra={"event": "shard_read_before", "facts": {"shard": lease.shard_id}},
        )
        follow = self._tools.follow
        doing = f"finishing {lease.shard_id}"
        await persist(doing, lambda: self.held.checkpoint(SHARD_END), follow.clock, follow.read.random)
        self._tools.finished.notify()
        return True

    async def _adopt_children(self) -> None:
        """Two looks: the second child of a split may be listed later than the first."""
        if known := await self._adopted(()):
            await self._tools.follow.clock.sleep(SIBLINGS_S)
            await self._adopted(known)

    async def _adopted(self, but: Collection[str]) -> Collection[str]:
        told = False
        for attempt in range(CHILDREN_ATTEMPTS_MAX):
            try:
                listed, got = await self._tools.directory.adopt_children(self.held.lease, self._tools.terms, but)
            except Retry as error:
                self._failed(f"adopting the children of {self.shard_id}", error)
            else:
                for taken in got:
                    self._start(taken)
                if listed:
                    return listed
                if not told:
                    self._tools.directory.childless.notify()
                    told = True
            await self._pause(attempt)
        return ()

    def _failed(self, doing: str, error: Retry) -> None:
        """Raises Stop when credentials stay expired."""
        self._credentials.failed(error)
        if self._tools.follow.log_limit.allows():
            log.warning("%s: %s; trying again", doing, error, extra={"event": "fleet_retry", "facts": {"doing": doing}})

    async def _pause(self, attempt: int) -> None:
        read = self._tools.follow.read
        await read.clock.sleep(CHILDREN.delay_s(attempt, read.random))
