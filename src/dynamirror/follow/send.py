"""One batch to its answer: sent once, halved where an item is refused, sorted by what became of each write.

Nothing is retried here; `follow/apply` decides what is sent again, and when.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dynamirror.errors import ItemRefused, Retry, Side, Unanswered
from dynamirror.follow.parking import Parking
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.rate import Rate, units_of
from dynamirror.model.change import Write
from dynamirror.model.parked import Parked
from dynamirror.model.permit import NEVER
from dynamirror.model.watermark import PageMark, Watermark
from dynamirror.ports import Clock, DestinationTable, MetricSink
from dynamirror.settings.groups import WriteSettings

EVER = float("inf")


@dataclass(frozen=True, slots=True)
class ApplyTools:
    """What the applier is given from outside."""

    table: DestinationTable
    clock: Clock
    random: Callable[[], float]
    metrics: MetricSink
    settings: WriteSettings
    # Takes over writes of a lost lease that may have left too late: their items are to be reconciled.
    reconcile: Callable[[Sequence[Write]], None]
    # Takes what the destination refuses.
    parking: Parking
    # None: nothing is limited, and nobody is told of throttles.
    rate: Rate | None = None


class Pending:
    """A write that was accepted and is not durable yet, with the pages that wait for it."""

    __slots__ = ("attempts", "doubted", "lands_until_s", "marks", "unparks", "write")

    def __init__(self, write: Write, marks: list[PageMark]) -> None:
        self.write = write
        self.marks = marks
        self.attempts = 0
        # An attempt was not answered.
        self.doubted = False
        # Boot time until which a request with it may still land; -inf: none is under way.
        self.lands_until_s = NEVER
        # What was known to be parked of its item when it was last sent.
        self.unparks: Parked | None = None

    @property
    def tenure(self) -> Watermark:
        """The tenure under which it is sent: that of the newest page."""
        return self.marks[-1].watermark

    @property
    def abandoned(self) -> bool:
        """Its shard is no longer this worker's: it may not be sent (P-25)."""
        return self.marks[-1].watermark.abandoned

    def sendable(self, now_s: float) -> bool:
        """The lease permits sending now."""
        tenure = self.marks[-1].watermark
        return now_s < tenure.permit.until_s and not tenure.abandoned


@dataclass(slots=True)
class Outcome:
    """What of a batch is not durable, and why."""

    # Not applied: to be sent again.
    failed: list[Pending] = field(default_factory=list)
    error: Retry | None = None
    # May have been applied, or may still be, until `settled_at_s`.
    doubtful: list[Pending] = field(default_factory=list)
    settled_at_s: float = 0.0
    # Can never be written.
    refused: list[tuple[Pending, ItemRefused]] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Join what came of another part of the batch."""
        self.failed += other.failed
        self.error = self.error or other.error
        self.doubtful += other.doubtful
        self.settled_at_s = max(self.settled_at_s, other.settled_at_s)
        self.refused += other.refused


class Sender:
    """Sends batches to the destination table; shared by all that are in flight."""

    def __init__(self, tools: ApplyTools) -> None:
        self._tools = tools
        self._credentials = CredentialsPatience(tools.clock)
        self._unanswered = 0
        self._unanswered_since_s = NEVER

    @property
    def silent_since_s(self) -> float | None:
        """The destination has answered nothing that was sent since this boot time, more than one request."""
        return self._unanswered_since_s if self._unanswered > 1 else None

    @property
    def _limit(self) -> Rate | None:
        """None while there is no limit: then not even the units are counted."""
        rate = self._tools.rate
        return rate if rate is not None and rate.write.limited else None

    async def admit(self, batch: list[Pending]) -> None:
        """Wait until the rate allows the batch. Nothing of it is on its way meanwhile; permits are looked at after."""
        if (limit := self._limit) is not None:
            await limit.change(units_of([pending.write for pending in batch]))

    def give_back(self, outcome: Outcome) -> None:
        """What was not written cost nothing. What may have been written may have cost something."""
        if (limit := self._limit) is not None:
            unwritten = [*outcome.failed, *(pending for pending, _ in outcome.refused)]
            limit.give_back(units_of([pending.write for pending in unwritten]))

    async def send(self, batch: list[Pending]) -> Outcome:
        """Each write of the batch is durable, or in the outcome once. Raises Stop."""
        now_s = self._tools.clock.boottime_s()
        sendable = [pending for pending in batch if pending.sendable(now_s)]
        if len(sendable) == len(batch):
            return await self._attempt(batch, now_s)
        waiting = [pending for pending in batch if not pending.sendable(now_s)]
        outcome = Outcome(waiting, Retry(Side.STATE, "the lease has to be proven first"))
        if sendable:
            outcome.add(await self._attempt(sendable, now_s))
        return outcome

    async def _attempt(self, batch: list[Pending], sent_at_s: float) -> Outcome:
        settings = self._tools.settings
        permits_s = [pending.tenure.permit.until_s for pending in batch]
        for pending in batch:
            pending.lands_until_s = EVER
        try:
            left = await self._tools.table.write([pending.write for pending in batch])
        except Unanswered as error:
            # The process may have been frozen before the request left: then it is the end of the attempt that counts.
            failed_at_s = self._tools.clock.boottime_s()
            settled_at_s = max(sent_at_s + settings.settle_s, failed_at_s + settings.stray_life_s)
            self._doubt(batch, sent_at_s, settled_at_s)
            return Outcome(error=error, doubtful=batch, settled_at_s=settled_at_s)
        except Retry as error:
            self._answered(batch)
            self._credentials.failed(error)
            return Outcome(batch, error)
        except ItemRefused as error:
            self._answered(batch)
            if len(batch) == 1:
                return Outcome(refused=[(batch[0], error)])
            half = len(batch) // 2
            outcome = await self.send(batch[:half])
            outcome.add(await self.send(batch[half:]))
            return outcome
        finally:
            self._note_late(batch, permits_s)
        self._answered(batch)
        self._credentials.answered()
        self._tools.metrics.count("batches_sent")
        if not left:
            return Outcome()
        keys = {write.key for write in left}
        return Outcome([pending for pending in batch if pending.write.key in keys])

    def _note_late(self, batch: Sequence[Pending], permits_s: Sequence[float]) -> None:
        """1 the permit is looked at; 2 the process is frozen, for longer than its lease; 3 another worker takes the
        lease and writes a newer change; 4 the process thaws and sends. No check before sending can prevent it; the
        clock afterwards shows that it may have happened (A-8, C-5)."""
        settings = self._tools.settings
        over_s = self._tools.clock.boottime_s() - settings.attempt_timeout_s - settings.clock_drift_s
        if over_s <= min(permits_s):
            return
        for pending, until_s in zip(batch, permits_s, strict=True):
            if over_s <= until_s:
                continue
            if pending.abandoned:
                self._tools.reconcile([pending.write])
            else:
                pending.tenure.late.append(pending.write)

    def _doubt(self, batch: Sequence[Pending], sent_at_s: float, settled_at_s: float) -> None:
        if not self._unanswered:
            self._unanswered_since_s = sent_at_s
        self._unanswered += 1
        # Then it is tried once more.
        until_s = settled_at_s + self._tools.settings.margin_s
        for pending in batch:
            pending.lands_until_s = settled_at_s
            if not pending.doubted:
                pending.doubted = True
                pending.tenure.doubt_until_s = max(pending.tenure.doubt_until_s, until_s)

    def _answered(self, batch: Sequence[Pending]) -> None:
        self._unanswered = 0
        for pending in batch:
            pending.lands_until_s = NEVER
