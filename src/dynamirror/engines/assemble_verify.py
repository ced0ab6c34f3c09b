"""Joins the sides of a verify: real clock, real random, real tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dynamirror.aws.connect import Connections
from dynamirror.aws.items import Items
from dynamirror.aws.scan import TableScan
from dynamirror.aws.streams import DynamoDBStream
from dynamirror.aws.wire import Caller
from dynamirror.engines.assemble import SystemClock, jitter
from dynamirror.engines.mending import Mending, assemble_mending
from dynamirror.engines.verify_options import VerifyOptions
from dynamirror.engines.verify_state import Patience, VerifyState
from dynamirror.errors import Side
from dynamirror.model.key import KeyCodec
from dynamirror.model.lane import Lane
from dynamirror.model.verify import Found, Lives
from dynamirror.ports import Clock, TableFacts
from dynamirror.prove.paced import PacedItems, PacedScan, ReadPace
from dynamirror.prove.recent_keys import RecentKeys
from dynamirror.prove.run_keeper import RunKeeper
from dynamirror.prove.verify_tools import VerifyTools
from dynamirror.settings.groups import ReplicationSettings


@dataclass(frozen=True, slots=True)
class VerifyParts:
    """A verify, put together and not begun."""

    clock: Clock
    random: Callable[[], float]
    tools: VerifyTools
    patience: Patience
    state: VerifyState | None
    keeper: RunKeeper | None
    mending: Mending | None
    # Given since how many seconds before now keys are wanted.
    recent: Callable[[float], RecentKeys]


@dataclass(frozen=True, slots=True)
class Verified:
    """What the checks found of the tables."""

    source: TableFacts
    destination: TableFacts
    lives: Lives
    state: VerifyState | None


def assemble_verify(
    connections: Connections,
    settings: ReplicationSettings,
    options: VerifyOptions,
    facts: Verified,
    report: Callable[[Found], None],
) -> VerifyParts:
    """Put a verify together from open connections and the facts that the checks found."""
    clock, draw = SystemClock(), jitter()
    codec = KeyCodec(facts.source.schema)
    sides = {
        Side.SOURCE: _Table(connections.source, settings.source.table, facts.source),
        Side.DESTINATION: _Table(connections.destination, settings.destination.table, facts.destination),
    }
    paces = {side: _pace(table.facts, settings, clock, side) for side, table in sides.items()}
    scans, items = {}, {}
    for side, (caller, name, _) in sides.items():
        drop = settings.destination.drop_aws_rep and side is Side.SOURCE
        scans[side] = PacedScan(TableScan(caller, name, side, drop_marks=drop, metered=True), paces[side])
        items[side] = PacedItems(Items(caller, name, codec, side, drop_marks=drop), paces[side])
    patience = Patience(options.patience_s, settings, clock)
    tools = VerifyTools(scans, items, codec, clock, draw, patience.now_s, facts.lives, report)
    state = facts.state
    keeper = RunKeeper(state.rows, clock, draw) if state is not None and options.since_s is None else None

    def recent(since_s: float) -> RecentKeys:
        stream = DynamoDBStream(connections.streams, facts.source.stream_arn or "")
        return RecentKeys(stream, codec, clock, draw, since_s, lambda: connections.streams.served_s or clock.wall_s())

    tables = items[Side.SOURCE], items[Side.DESTINATION]
    mending = assemble_mending(tables, codec, clock, settings, state) if options.repair else None
    return VerifyParts(clock, draw, tools, patience, state, keeper, mending, recent)


class _Table(NamedTuple):
    caller: Caller
    name: str
    facts: TableFacts


def _pace(table: TableFacts, settings: ReplicationSettings, clock: Clock, side: Side) -> ReadPace:
    capacity_s, limit = table.capacity.read, settings.rate.read
    lane = Lane(limit.of(capacity_s) if limit is not None else None, capacity_s, clock.boottime_s())
    return ReadPace(clock, lane, table.size_bytes / table.items if table.items else 0, side)
