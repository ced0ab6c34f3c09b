"""Gap policies for tests."""

from dynamirror.follow.gaps import GapPolicy, GapTools
from dynamirror.loops.log_limit import LogLimit
from dynamirror.model.gap import OnGap, OpenGap
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import Clock, MetricSink
from dynamirror.state_ports import GapStore
from dynamirror.testing.virtual_time import VirtualClock


def stopping() -> GapPolicy:
    """A gap stops the worker."""
    clock = VirtualClock()
    return GapPolicy(GapTools(None, clock, Metrics(), "w", clock.wall_s, OnGap.STOP, LogLimit(clock, 10)))


def continuing(store: GapStore, clock: Clock, metrics: MetricSink, worker: str = "me") -> GapPolicy:
    """It is noted, and passed."""
    return GapPolicy(GapTools(store, clock, metrics, worker, clock.wall_s, OnGap.CONTINUE, LogLimit(clock, 10)))


class MemoryGaps:
    """A GapStore in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, OpenGap] = {}

    async def open_gap(self, gap: OpenGap) -> None:
        self.rows[gap.id] = gap

    async def gaps(self) -> list[OpenGap]:
        return [*self.rows.values()]

    async def close_gap(self, gap: OpenGap) -> bool:
        return self.rows.pop(gap.id, None) is not None
