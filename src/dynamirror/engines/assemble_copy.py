"""Joins the sides of a worker's share in a copy, and of the holding of changes meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dynamirror.aws.connect import Connections
from dynamirror.aws.scan import TableScan
from dynamirror.aws.tables import BatchWriter
from dynamirror.copy.copier import Copier
from dynamirror.copy.tools import CopySettingsInForce, CopyTools
from dynamirror.engines.begin_copy import copy_rows
from dynamirror.engines.preflight import Facts
from dynamirror.fleet.shards import ShardDirectory
from dynamirror.follow.hold import HoldTools
from dynamirror.follow.parking import Parking
from dynamirror.follow.settling import Budget
from dynamirror.loops.gate import Gate
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.rate import Rate
from dynamirror.loops.signal import Signal
from dynamirror.model.change import Write
from dynamirror.model.copy import CopyKnowledge
from dynamirror.model.key import KeyCodec
from dynamirror.ports import Clock, LeaseStore, MetricSink
from dynamirror.prove.reconcile import Reconciler
from dynamirror.settings.groups import ReplicationSettings


@dataclass(frozen=True, slots=True)
class Shared:
    """What a worker's copy shares with the rest of it."""

    clock: Clock
    random: Callable[[], float]
    metrics: MetricSink
    leases: LeaseStore
    directory: ShardDirectory
    reconciler: Reconciler
    rate: Rate
    parking: Parking
    gate: Gate


def assemble_hold(facts: Facts, settings: ReplicationSettings) -> HoldTools:
    """Without a state table nothing can be known of a copy, and none can be begun: nothing is held then."""
    known_s = settings.hold.known_s if facts.state is not None else float("inf")
    return HoldTools(CopyKnowledge(known_s), Signal(), settings.hold, Budget(settings.hold.bytes_max))


def assemble_copier(
    connections: Connections, facts: Facts, settings: ReplicationSettings, me: str, hold: HoldTools, shared: Shared
) -> Copier | None:
    """None without a state table."""
    if facts.state is None:
        return None

    def note_late(writes: Sequence[Write]) -> None:
        shared.reconciler.add_writes(writes, shared.clock.boottime_s())

    codec = KeyCodec(facts.source.schema)
    tools = CopyTools(
        copy_rows(connections, facts, settings),
        facts.state,
        shared.leases,
        TableScan(
            connections.source, settings.source.table, drop_marks=settings.destination.drop_aws_rep, metered=True
        ),
        BatchWriter(connections.destination, settings.destination.table, codec, shared.rate.copy_written),
        codec,
        shared.clock,
        shared.random,
        shared.metrics,
        CopySettingsInForce(settings.copy, settings.hold, settings.write, settings.lease.duration_s),
        me,
        facts.source.items,
        CredentialsPatience(shared.clock),
        hold.knowledge,
        hold.learned,
        note_late,
        shared.reconciler.flush,
        shared.rate,
        shared.parking.park,
        shared.gate,
    )
    return Copier(tools, shared.directory.synced.is_set)
