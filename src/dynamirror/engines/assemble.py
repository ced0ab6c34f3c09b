"""Joins the sides of a worker: real clock, real random, real tables. One of the few files that may read them."""

import asyncio
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from dynamirror import __version__
from dynamirror.aws.answered import Answered
from dynamirror.aws.connect import Connections
from dynamirror.aws.gap_rows import GapRows
from dynamirror.aws.graph_rows import GraphRows
from dynamirror.aws.items import Items
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.streams import DynamoDBStream
from dynamirror.aws.tables import BatchWriter
from dynamirror.copy.copier import Copier
from dynamirror.engines.assemble_copy import Shared, assemble_copier, assemble_hold
from dynamirror.engines.assemble_orders import assemble_orders
from dynamirror.engines.assemble_rate import assemble_rate, assemble_shares
from dynamirror.engines.preflight import Facts
from dynamirror.engines.worker_figures import WorkerFigures
from dynamirror.errors import Side
from dynamirror.fleet.coordinator import Coordinator, FleetTools
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.leases import LeaseTools
from dynamirror.fleet.orders import OrderWatch
from dynamirror.fleet.self_watch import SelfWatch, SelfWatchTools
from dynamirror.fleet.shards import DirectoryTools, ShardDirectory
from dynamirror.fleet.shares import Shares
from dynamirror.fleet.tenure import TenureTools
from dynamirror.follow.apply import Applier
from dynamirror.follow.gaps import GapPolicy, GapTools
from dynamirror.follow.parking import Parking, ParkTools
from dynamirror.follow.read import ReadTools
from dynamirror.follow.send import ApplyTools
from dynamirror.follow.settling import Budget
from dynamirror.follow.shard_task import PROOF_LOG_EVERY_S
from dynamirror.follow.tools import FollowTools
from dynamirror.loops.gate import Gate
from dynamirror.loops.log_limit import LogLimit
from dynamirror.loops.rate import Rate
from dynamirror.loops.signal import Signal
from dynamirror.loops.turns import Turns
from dynamirror.model.change import Write
from dynamirror.model.key import KeyCodec
from dynamirror.model.lease import Terms
from dynamirror.model.permit import NEVER
from dynamirror.model.task_name import state_table_name
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import Clock, MetricSink
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.tools import Claims, ReconcileTools
from dynamirror.settings.bounds import fence_of
from dynamirror.settings.groups import LeaseSettings, ReplicationSettings
from dynamirror.state_ports import StateStore

# Pages being fetched at the same time, 1 MB each at most.
READS_AT_ONCE_MAX = 16


class SystemClock:
    """The machine's clocks. CLOCK_BOOTTIME also counts the time that the machine sleeps (P-9); macOS has only
    a monotonic clock of that kind."""

    # See ports.Clock. Asked ten times for each page of records, so there is nothing around them.
    boottime_s = staticmethod(partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)))
    wall_s = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker, put together and not started."""

    id: str
    coordinator: Coordinator
    applier: Applier
    reconciler: Reconciler
    parking: Parking
    gaps: GapPolicy
    # None without a state table.
    copier: Copier | None
    # None without a state table.
    shares: Shares | None
    self_watch: SelfWatch
    orders: OrderWatch | None = None
    # Closed while the task is paused.
    gate: Gate = field(default_factory=Gate)


def jitter() -> Callable[[], float]:
    """Random numbers in [0, 1) for back-off; never for secrets."""
    return random.Random().random


def worker_id() -> str:
    """Unique for every process start: a Java worker adopts at once every row that bears its own id (P-1)."""
    return f"{socket.gethostname()[:64]}-{os.getpid()}-{uuid.uuid4().hex[:12]}"


def worker_facts(command: str) -> Mapping[str, str]:
    """What an operator sees of a worker in the state table; `command` is what it does."""
    return {"host": socket.gethostname(), "pid": str(os.getpid()), "version": __version__, "command": command}


def assemble_worker(
    connections: Connections, facts: Facts, settings: ReplicationSettings, me: str, metrics: Metrics
) -> Worker:
    """Put a worker together from open connections and the facts that the checks found."""
    clock, draw = SystemClock(), jitter()
    codec = KeyCodec(facts.source.schema)
    rate = assemble_rate(facts.source, facts.destination, settings.rate, clock, metrics)
    gate = Gate()
    table = _destination(connections, settings, codec, rate)
    stream, served_s = _stream(connections, facts, settings)
    answered = Answered(connections.state, clock.boottime_s)
    leases = LeaseTable(answered, settings.task.lease_table)
    state = facts.state
    beating = _heartbeat(state, clock, me, settings.lease, WorkerFigures(metrics, gate, lambda: applier.requests))
    beaten_at_s = _beaten_at(beating)
    claims = Claims(state, me, beaten_at_s, settings.lease.duration_s) if state is not None else None
    reconciler = _reconciler(connections, settings, codec, clock, metrics, claims)

    def reconcile(writes: Sequence[Write]) -> None:
        reconciler.add_writes(writes, clock.boottime_s())

    read = ReadTools(stream, clock, draw, settings.read, Turns(READS_AT_ONCE_MAX), metrics, served_s)
    parking = _parking(connections, facts, settings, me, clock, metrics)
    applier = Applier(ApplyTools(table, clock, draw, metrics, settings.write, reconcile, parking, rate))
    log_limit, budget = LogLimit(clock, PROOF_LOG_EVERY_S), Budget(settings.write.resend_bytes_max)
    hold = assemble_hold(facts, settings)
    gaps = _gaps(connections, facts, settings, me, metrics, read)
    follow = FollowTools(read, applier, codec, metrics, settings.lease, budget, reconcile, log_limit, hold, gaps, gate)
    held = LeaseTools(leases, clock, fence_of(settings.lease, settings.write, beating is not None), beaten_at_s)
    terms = Terms(me, int(settings.lease.duration_s * 1000), heartbeat=beating is not None)
    directory = ShardDirectory(DirectoryTools(stream, leases, clock, draw, read.now_s, gaps), settings.read.start)
    directory.idle = reconciler.idle
    tenure = TenureTools(follow, held, settings.write, directory, terms, settings.read.parent_poll_s, Signal())
    coordinator = Coordinator(FleetTools(tenure, settings.lease, beating, state, _graph(connections, facts, settings)))
    shared = Shared(clock, draw, metrics, leases, directory, reconciler, rate, parking, gate)
    copier = assemble_copier(connections, facts, settings, me, hold, shared)
    shares = assemble_shares(connections, facts, settings, me, rate, clock)
    orders = assemble_orders(connections, facts, settings, shared, coordinator)
    watch = SelfWatch(SelfWatchTools(coordinator, applier, rate, beating, lambda: answered.at_s, clock, metrics, gate))
    return Worker(me, coordinator, applier, reconciler, parking, gaps, copier, shares, watch, orders, gate)


def _destination(connections: Connections, settings: ReplicationSettings, codec: KeyCodec, rate: Rate) -> BatchWriter:
    """The hot path is not asked what it costs unless somebody has to know, or may look."""
    name, looked_at = settings.destination.table, settings.metrics.shown

    def metered() -> bool:
        return looked_at or rate.write.limited

    return BatchWriter(connections.destination, name, codec, rate.change_written, metered)


def _heartbeat(
    state: StateStore | None, clock: Clock, me: str, lease: LeaseSettings, figures: WorkerFigures
) -> Heartbeat | None:
    if state is None:
        return None
    lease_ms = int(lease.duration_s * 1000)
    beating = Heartbeat(state, clock, me, worker_facts("replicate"), lease.heartbeat_s, lease_ms)
    beating.figures = figures
    return beating


def _beaten_at(beating: Heartbeat | None) -> Callable[[], float]:
    def beaten_at_s() -> float:
        return beating.beaten_at_s if beating is not None else NEVER

    return beaten_at_s


def _stream(
    connections: Connections, facts: Facts, settings: ReplicationSettings
) -> tuple[DynamoDBStream, Callable[[], float]]:
    """The stream, and the service's clock as it last said."""

    def served_s() -> float:
        return connections.streams.served_s

    drop = settings.destination.drop_aws_rep
    return DynamoDBStream(connections.streams, facts.stream_arn, served_s, drop_marks=drop), served_s


def _parking(
    connections: Connections,
    facts: Facts,
    settings: ReplicationSettings,
    me: str,
    clock: Clock,
    metrics: MetricSink,
) -> Parking:
    store = None
    if facts.state is not None:
        life = Incarnation(facts.lease_table.table_id, facts.stream_arn)
        store = ParkedRows(connections.state, state_table_name(settings.task.lease_table), life)
    codec = KeyCodec(facts.source.schema)
    return Parking(ParkTools(store, codec, clock, jitter(), metrics, me, settings.write.parked_max))


def _gaps(
    connections: Connections, facts: Facts, settings: ReplicationSettings, me: str, metrics: MetricSink, read: ReadTools
) -> GapPolicy:
    store = None
    if facts.state is not None:
        life = Incarnation(facts.lease_table.table_id, facts.stream_arn)
        store = GapRows(connections.state, state_table_name(settings.task.lease_table), life)
    limit = LogLimit(read.clock, PROOF_LOG_EVERY_S)
    return GapPolicy(GapTools(store, read.clock, metrics, me, read.now_s, settings.read.on_gap, limit))


def _graph(connections: Connections, facts: Facts, settings: ReplicationSettings) -> GraphRows | None:
    if facts.state is None:
        return None
    life = Incarnation(facts.lease_table.table_id, facts.stream_arn)
    return GraphRows(connections.state, state_table_name(settings.task.lease_table), life)


def _reconciler(
    connections: Connections,
    settings: ReplicationSettings,
    codec: KeyCodec,
    clock: Clock,
    metrics: MetricSink,
    claims: Claims | None,
) -> Reconciler:
    drop = settings.destination.drop_aws_rep
    here = Items(connections.source, settings.source.table, codec, Side.SOURCE, drop_marks=drop)
    there = Items(connections.destination, settings.destination.table, codec, Side.DESTINATION)
    return Reconciler(ReconcileTools(here, there, codec, clock, jitter(), metrics, settings.write, claims))
