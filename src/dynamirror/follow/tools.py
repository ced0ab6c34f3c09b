"""What shard tasks are given: what all of a worker share, and how one of them begins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dynamirror.follow.apply import Applier
from dynamirror.follow.gaps import GapPolicy
from dynamirror.follow.hold import HoldTools
from dynamirror.follow.read import ReadTools
from dynamirror.follow.settling import Aftermath, Budget
from dynamirror.loops.gate import Gate
from dynamirror.loops.log_limit import LogLimit
from dynamirror.model.change import Write
from dynamirror.model.key import KeyCodec
from dynamirror.model.skip import Skip
from dynamirror.ports import Clock, MetricSink
from dynamirror.settings.groups import LeaseSettings


@dataclass(frozen=True, slots=True)
class FollowTools:
    """What all shard tasks of a worker share."""

    read: ReadTools
    applier: Applier
    codec: KeyCodec
    metrics: MetricSink
    lease: LeaseSettings
    # Of the second sending after unclean starts.
    budget: Budget
    reconcile: Callable[[Sequence[Write]], None]
    # Of failing proofs, which are many when the lease table is out of reach.
    log_limit: LogLimit
    hold: HoldTools
    gaps: GapPolicy
    # Closed while the task is paused.
    gate: Gate = field(default_factory=Gate)

    @property
    def clock(self) -> Clock:
        """The worker's clock."""
        return self.read.clock


@dataclass(frozen=True, slots=True)
class Entry:
    """How a tenure begins."""

    skip: Skip
    # A LATEST checkpoint may be taken literally, because this process wrote it just now.
    at_latest: bool = False
    # The predecessor's writes may still land; None: there is nobody's.
    aftermath: Aftermath | None = None
