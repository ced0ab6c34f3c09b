"""Joins the sides of a verify: real clock, real random, real tables."""

from collections.abc import Callable
from dataclasses import dataclass

from dynamirror.aws.connect import Connections
from dynamirror.aws.items import Items
from dynamirror.aws.scan import TableScan
from dynamirror.aws.streams import DynamoDBStream
from dynamirror.engines.assemble import SystemClock, jitter
from dynamirror.engines.mending import Mending, assemble_mending
from dynamirror.engines.verify_options import VerifyOptions
from dynamirror.engines.verify_state import Patience, VerifyState
from dynamirror.errors import Side
from dynamirror.model.key import KeyCodec
from dynamirror.model.verify import Found, Lives
from dynamirror.ports import Clock, TableFacts
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
    drop = settings.destination.drop_aws_rep
    near, far = settings.source.table, settings.destination.table
    items = {
        Side.SOURCE: Items(connections.source, near, codec, Side.SOURCE, drop_marks=drop),
        Side.DESTINATION: Items(connections.destination, far, codec, Side.DESTINATION),
    }
    scans = {
        Side.SOURCE: TableScan(connections.source, near, drop_marks=drop),
        Side.DESTINATION: TableScan(connections.destination, far, Side.DESTINATION),
    }
    patience = Patience(options.patience_s, settings, clock)
    tools = VerifyTools(scans, items, codec, clock, draw, patience.now_s, facts.lives, report)
    state = facts.state
    keeper = RunKeeper(state.rows, clock, draw) if state is not None and options.since_s is None else None

    def recent(since_s: float) -> RecentKeys:
        stream = DynamoDBStream(connections.streams, facts.source.stream_arn or "")
        return RecentKeys(stream, codec, clock, draw, since_s, lambda: connections.streams.served_s or clock.wall_s())

    sides = items[Side.SOURCE], items[Side.DESTINATION]
    mending = assemble_mending(sides, codec, clock, settings, state) if options.repair else None
    return VerifyParts(clock, draw, tools, patience, state, keeper, mending, recent)
