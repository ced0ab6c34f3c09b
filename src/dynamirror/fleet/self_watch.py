"""The worker looks at itself: what its shards are doing, how far they are behind, and whether that is healthy."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dynamirror.fleet.coordinator import Coordinator
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.follow.apply import Applier
from dynamirror.loops.gate import Gate
from dynamirror.loops.rate import Rate
from dynamirror.model.health import LOOK_S, LOOP_S, PROBLEMS_MAX, Problem, WorkerSigns, problems
from dynamirror.model.permit import NEVER
from dynamirror.ports import Clock, MetricSink

log = logging.getLogger("dynamirror.health")


@dataclass(frozen=True, slots=True)
class SelfWatchTools:
    """What is looked at."""

    coordinator: Coordinator
    applier: Applier
    rate: Rate
    heartbeat: Heartbeat | None
    # Boot time of the lease table's last answer.
    leases_answered_at_s: Callable[[], float]
    clock: Clock
    metrics: MetricSink
    gate: Gate


class SelfWatch:
    """Of one worker. `problems` may be asked from any thread, also while the event loop stands still."""

    def __init__(self, tools: SelfWatchTools) -> None:
        self._tools = tools
        self._begun_at_s = tools.clock.boottime_s()
        self._reads_since_s = NEVER
        self._signs = self._look()
        # What was told of last, without its times: shards, or "" for the worker.
        self._told: frozenset[str] = frozenset()

    def problems(self) -> list[Problem]:
        """Why the worker is not healthy now; none: it is."""
        return problems(self._signs, self._tools.clock.boottime_s())

    async def run(self) -> None:
        """Until cancelled."""
        clock = self._tools.clock
        while True:
            stood_s = clock.boottime_s() - self._signs.looked_at_s
            self._signs = self._look()
            if stood_s > LOOP_S:
                facts = {"stood_s": round(stood_s, 1)}
                log.warning("the event loop stood still", extra={"event": "loop_stood", "facts": facts})
            self._tell(self.problems())
            self._figures()
            await clock.sleep(LOOK_S)

    def _look(self) -> WorkerSigns:
        tools = self._tools
        beaten_at_s = None
        if tools.heartbeat is not None:
            beaten_at_s = max(tools.heartbeat.beaten_at_s, self._begun_at_s)
        if tools.gate.closed:
            self._reads_since_s = float("inf")
        elif self._reads_since_s == float("inf"):
            self._reads_since_s = tools.clock.boottime_s()
        return WorkerSigns(
            looked_at_s=tools.clock.boottime_s(),
            leases_answered_at_s=tools.leases_answered_at_s(),
            beaten_at_s=beaten_at_s,
            silent_since_s=tools.applier.silent_since_s,
            listing_fails_since_s=tools.coordinator.listing_fails_since_s,
            reads_since_s=self._reads_since_s,
            rate_waits=tools.rate.changes_wait,
            shards=tuple(tenure.signs() for tenure in tools.coordinator.tenures.values()),
        )

    def _figures(self) -> None:
        metrics = self._tools.metrics
        held, most_s = 0, 0.0
        for shard_id, tenure in self._tools.coordinator.tenures.items():
            changes, behind_s = tenure.figures
            held += changes
            if behind_s is not None:
                most_s = max(most_s, behind_s)
                metrics.sample("behind_s", shard_id, behind_s)
        metrics.gauge("changes_held", held)
        metrics.gauge("behind_s", most_s)

    def _tell(self, found: list[Problem]) -> None:
        """A line when a shard, or the worker, becomes unhealthy, and one when all is well again."""
        self._tools.metrics.gauge("problems", len(found))
        now = frozenset(problem.shard_id for problem in found)
        new = [problem for problem in found if problem.shard_id not in self._told]
        for problem in new[:PROBLEMS_MAX]:
            facts = {"shard": problem.shard_id, "why": problem.why, "problems": len(found)}
            log.error("not healthy: %s", problem, extra={"event": "unhealthy", "facts": facts})
        if self._told and not now:
            log.info("healthy again", extra={"event": "healthy", "facts": {}})
        self._told = now
