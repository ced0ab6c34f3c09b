"""Joins the sides of how a worker obeys its operator."""

from dynamirror.aws.connect import Connections
from dynamirror.aws.order_rows import OrderRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.engines.assemble_copy import Shared
from dynamirror.engines.preflight import Facts
from dynamirror.fleet.coordinator import Coordinator
from dynamirror.fleet.leases import HeldLease
from dynamirror.fleet.orders import OrderTools, OrderWatch
from dynamirror.loops.gate import Gate
from dynamirror.loops.rate import Rate
from dynamirror.model.applied_to import unread_since_ms
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, MetricSink
from dynamirror.settings.groups import ReplicationSettings


def assemble_orders(
    connections: Connections, facts: Facts, settings: ReplicationSettings, shared: Shared, coordinator: Coordinator
) -> OrderWatch | None:
    """None without a state table: nothing can be ordered then."""
    if facts.state is None:
        return None

    def oldest_ms() -> int | None:
        known = [_unread_since_ms(tenure.held) for tenure in coordinator.tenures.values()]
        return min((at_ms for at_ms in known if at_ms is not None), default=None)

    def now_s() -> float:
        return connections.state.served_s or shared.clock.wall_s()

    life = Incarnation(facts.lease_table.table_id, facts.stream_arn)
    tools = OrderTools(
        order_rows(connections, settings, life),
        shared.clock,
        now_s,
        shared.metrics,
        shared.gate,
        shared.rate,
        oldest_ms,
    )
    return OrderWatch(tools)


def _unread_since_ms(held: HeldLease) -> int | None:
    """As this tenure knows, or else as the row said before: one that begins while the task is paused reads nothing."""
    return held.applied_to_ms() or unread_since_ms(held.lease)


def order_rows(connections: Connections, settings: ReplicationSettings, life: Incarnation) -> OrderRows:
    """What is ordered of the task."""
    return OrderRows(connections.state, state_table_name(settings.task.lease_table), life)


def assemble_orders_at_rest(store: OrderRows, clock: Clock, metrics: MetricSink, gate: Gate, rate: Rate) -> OrderWatch:
    """Of a copy at rest, which follows no stream: nothing is lost by a pause."""
    return OrderWatch(OrderTools(store, clock, clock.wall_s, metrics, gate, rate, lambda: None))
