"""Joins the sides of a worker that copies a table at rest."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from dynamirror.aws.connect import Connections
from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.aws.scan import TableScan
from dynamirror.aws.tables import BatchWriter
from dynamirror.copy.copier import Copier
from dynamirror.copy.tools import CopySettingsInForce, CopyTools
from dynamirror.engines.assemble import jitter, worker_facts
from dynamirror.engines.assemble_orders import assemble_orders_at_rest, order_rows
from dynamirror.engines.assemble_rate import assemble_rate, rate_rows
from dynamirror.engines.preflight_at_rest import RestFacts
from dynamirror.engines.worker_figures import WorkerFigures
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.orders import OrderWatch
from dynamirror.fleet.shares import Shares
from dynamirror.follow.parking import Parking, ParkTools
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.signal import Signal
from dynamirror.model.change import Write
from dynamirror.model.copy import CopyKnowledge
from dynamirror.model.key import KeyCodec
from dynamirror.model.task_name import state_table_name
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import Clock, MetricSink
from dynamirror.settings.bounds import page_settled_s
from dynamirror.settings.groups import HoldSettings, ReplicationSettings

log = logging.getLogger("dynamirror.copy")


class LateAtRest:
    """What left after its page's life (the process was frozen) is read, and written, again: at rest it is the same
    image, so neither order nor a second landing matters, and the copy is not done before.

    One case is left, which only whoever knows the destination can judge: other workers have ended the copy while this
    one was frozen, and the destination has been written since. So it is said.
    """

    def __init__(self) -> None:
        self._items = 0

    def note(self, writes: Sequence[Write]) -> None:
        """These may have left late."""
        self._items += len(writes)

    async def say(self) -> None:
        """One line for what was noted since the last one."""
        items, self._items = self._items, 0
        if items:
            log.warning(
                "%d items were sent later than allowed (this process was stopped for a while); they are written again. "
                "If the copy was ended by another worker meanwhile, and the destination has been written since, "
                "compare the tables",
                items,
                extra={"event": "copy_late", "facts": {"items": items}},
            )


@dataclass(frozen=True, slots=True)
class RestWorker:
    """One worker, put together and not started."""

    copier: Copier
    heartbeat: Heartbeat
    parking: Parking
    # Notified after each look at the copy's row.
    looked: Signal
    late: LateAtRest
    settings: CopySettingsInForce
    shares: Shares
    orders: OrderWatch


def settings_in_force(settings: ReplicationSettings) -> CopySettingsInForce:
    """Nothing is held, but what is done is over only when no page can land any more: whoever writes to the destination
    then must not be overtaken. A worker that lost its segment may send a page until D after its reading; T + L later
    nothing of it is on its way."""
    copy, write = settings.copy, settings.write
    landed = HoldSettings(hold_s=page_settled_s(copy, write), known_s=0.0)
    return CopySettingsInForce(copy, landed, write, settings.lease.duration_s)


def copy_rows_at_rest(connections: Connections, facts: RestFacts, settings: ReplicationSettings) -> CopyRows:
    """The rows of the task's copy at rest."""
    return CopyRows(connections.state, state_table_name(settings.task.lease_table), facts.life)


def parked_rows_at_rest(connections: Connections, facts: RestFacts, settings: ReplicationSettings) -> ParkedRows:
    """The items that the task's copy at rest has parked."""
    return ParkedRows(connections.state, state_table_name(settings.task.lease_table), facts.life)


def assemble_at_rest(
    connections: Connections,
    facts: RestFacts,
    settings: ReplicationSettings,
    me: str,
    clock: Clock,
    metrics: Metrics,
) -> RestWorker:
    """Put a worker together from open connections and the facts that the checks found."""
    codec = KeyCodec(facts.source.schema)
    in_force = settings_in_force(settings)
    rate = assemble_rate(facts.source, facts.destination, settings.rate, clock, metrics)
    late, parking = LateAtRest(), _parking(connections, facts, settings, me, clock, metrics)
    drop = settings.destination.drop_aws_rep
    tools = CopyTools(
        store=copy_rows_at_rest(connections, facts, settings),
        state=facts.state,
        leases=None,
        source=TableScan(connections.source, settings.source.table, drop_marks=drop, metered=True),
        destination=BatchWriter(connections.destination, settings.destination.table, codec, rate.copy_written),
        codec=codec,
        clock=clock,
        random=jitter(),
        metrics=metrics,
        settings=in_force,
        worker=me,
        items=facts.source.items,
        credentials=CredentialsPatience(clock),
        knowledge=CopyKnowledge(in_force.hold.known_s),
        learned=Signal(),
        note_late=late.note,
        late_noted=late.say,
        rate=rate,
        park=parking.park,
    )
    shares = Shares(rate_rows(connections, settings, facts.life), facts.state, clock, rate, me)
    orders = assemble_orders_at_rest(order_rows(connections, settings, facts.life), clock, metrics, tools.gate, rate)
    heartbeat = Heartbeat(facts.state, clock, me, worker_facts("copy"), settings.lease.heartbeat_s)
    heartbeat.figures = WorkerFigures(metrics, tools.gate, lambda: 0)
    return RestWorker(Copier(tools, lambda: True), heartbeat, parking, tools.learned, late, in_force, shares, orders)


def _parking(
    connections: Connections,
    facts: RestFacts,
    settings: ReplicationSettings,
    me: str,
    clock: Clock,
    metrics: MetricSink,
) -> Parking:
    store, codec = parked_rows_at_rest(connections, facts, settings), KeyCodec(facts.source.schema)
    return Parking(ParkTools(store, codec, clock, jitter(), metrics, me, settings.write.parked_max))
