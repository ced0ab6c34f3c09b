"""Whether a task is fit for a cut-over; reads only."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.order_rows import OrderRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.streams import DynamoDBStream
from dynamirror.engines.attempts import patiently
from dynamirror.engines.cutover_options import CutoverOptions
from dynamirror.engines.preflight import both_tables, found_table
from dynamirror.engines.reach import Reach
from dynamirror.engines.reverse_command import reverse_settings
from dynamirror.engines.signs_of_life import Watched, living_worker
from dynamirror.engines.state_setup import StateSetup
from dynamirror.engines.stream_check import check_readable
from dynamirror.engines.table_checks import LEASE_SCHEMA, check_own, check_stream
from dynamirror.engines.verify_state import VerifyState, followed_stream, state_in
from dynamirror.engines.waiting import reach_aloud
from dynamirror.errors import AccessDenied, Side, Stop
from dynamirror.model.cutover import View, copy_against, left_to_drain
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.prove.stream_view import ServiceClock, ViewTools
from dynamirror.settings.groups import ReplicationSettings

# Workers list the stream every minute, and a shard that is new has no row until then.
LEASES_WITHIN_S = 75.0
LOOK_AGAIN_S = 2.0

log = logging.getLogger("dynamirror.cutover")


@dataclass(frozen=True, slots=True)
class Fit:
    """What was found. `source` names the stream that the task follows, also when it is off."""

    source: TableFacts
    destination: TableFacts
    stream_arn: str
    stream_off: bool
    view: ViewTools
    state: VerifyState
    said: str


async def look(
    reach: Reach, settings: ReplicationSettings, options: CutoverOptions, clock: Clock, served_s: Callable[[], float]
) -> Fit:
    """Raises Stop of its side for what is against a cut-over, Refused, or a Retry that did not pass."""
    reach = reach_aloud(reach)
    source, destination = await both_tables(reach, settings)
    off = source.stream_arn is None
    stream_arn = source.stream_arn or source.last_stream_arn
    if stream_arn is None:
        raise Stop(Side.SOURCE, f"the source table {settings.source.table} has no stream: nothing is replicated")
    if not off:
        check_stream(source, settings)
    source = replace(source, stream_arn=stream_arn)
    await check_readable(reach.streams, source, clock)
    life, state = await _state(reach, settings, (source, destination), clock)
    await _copied(state, options, clock)
    await _no_gaps(state, options, clock)
    await _not_paused(reach, settings, life, clock)
    if options.prepare_reverse:
        await _reverse_begins(reach, settings)
    leases = LeaseTable(reach.state, settings.task.lease_table)
    now_s = ServiceClock(served_s, clock.boottime_s)
    tools = ViewTools(DynamoDBStream(reach.streams, stream_arn, served_s), leases, clock, now_s)
    view = await _with_leases(tools, settings)
    said = await _alive(reach, settings, life, tools, view)
    return Fit(source, destination, stream_arn, off, tools, state, said)


async def _copied(state: VerifyState, options: CutoverOptions, clock: Clock) -> None:
    """Raises Stop when a copy goes on, or is not whole. That there was none is said: the task may have been begun anew
    while its table was copied, or not know of a copy made by other means."""
    copy, whole = await patiently(clock, "the row of the copy", state.copies.copy), options.verify == "full"
    if against := copy_against(copy, whole_verify=whole):
        raise Stop(Side.STATE, against)
    if copy is None and not whole:
        log.warning(
            "this task has made no copy of its own, so what was in the table before its first change is not proven to "
            "be at the destination: unless dynamirror verify has shown that, compare the whole tables with --verify "
            "full",
            extra={"event": "copy_unknown", "facts": {}},
        )


async def _no_gaps(state: VerifyState, options: CutoverOptions, clock: Clock) -> None:
    """Raises Stop while a gap is open: what it lost is older than the keys that are compared, unless all are."""
    gaps = await patiently(clock, "the gaps", state.gaps.gaps)
    if gaps and options.verify != "full":
        raise Stop(
            Side.STATE,
            f"{len(gaps)} gaps of the stream are open, the first: {gaps[0]}. Changes may be missing at the "
            "destination: compare and mend both tables with dynamirror verify --repair, or let the cut-over compare "
            "them whole with --verify full",
        )


async def _not_paused(reach: Reach, settings: ReplicationSettings, life: Incarnation, clock: Clock) -> None:
    """Raises Stop while the operator has paused the task: nothing would drain."""
    rows = OrderRows(reach.state, state_table_name(settings.task.lease_table), life)
    orders = await patiently(clock, "what was ordered", rows.orders)
    if orders.paused:
        raise Stop(Side.STATE, f"the task is paused (by {orders.paused_by}): dynamirror resume first")


async def _reverse_begins(reach: Reach, settings: ReplicationSettings) -> None:
    """Raises Stop where the way back has leases from before: it would go on at those, wherever the report's command
    says that it begins."""
    back = reverse_settings(settings).task
    try:
        there = await found_table(reach.destination_control, back.lease_table)
    except AccessDenied as error:
        log.warning(
            "cannot see whether the way back has been gone before: %s",
            error,
            extra={"event": "reverse_unseen", "facts": {}},
        )
        return
    if there is not None:
        raise Stop(
            Side.DESTINATION,
            f"--prepare-reverse: the way back has a lease table already ({back.lease_table} in {back.region}), so it "
            "would not begin at this cut-over: dynamirror reset that task first, or leave --prepare-reverse out",
        )


async def _state(
    reach: Reach, settings: ReplicationSettings, pair: tuple[TableFacts, TableFacts], clock: Clock
) -> tuple[Incarnation, VerifyState]:
    """The task's life and its rows; nothing is made."""
    source, destination = pair
    name = settings.task.lease_table
    leases = await found_table(reach.state_control, name)
    if leases is None:
        raise Stop(
            Side.STATE,
            f"there is no lease table {name} in {settings.task.region}: the task has not begun; check --task-name, "
            "--kcl-region and both tables' names",
        )
    check_own(f"lease table {name}", leases, LEASE_SCHEMA)
    life = Incarnation(leases.table_id, source.stream_arn or "")
    setup = StateSetup(reach, settings, clock, (source.arn, destination.arn))
    await setup.refuse_other_pair(life)
    if setup.missing:
        raise Stop(
            Side.STATE,
            f"there is no state table {setup.name} in {settings.task.region}: a cut-over needs what the workers of "
            "dynamirror replicate write there",
        )
    followed = await followed_stream(reach, settings, leases.table_id, clock)
    if followed not in (None, life.stream_arn):
        raise Stop(
            Side.SOURCE,
            f"the task follows another stream of the source table ({followed}) than it has now ({life.stream_arn}): it "
            "was switched off and on again, or the table made anew. Let workers go on with the new stream first "
            "(dynamirror replicate --on-gap continue, or reconcile)",
        )
    table = StateTable(reach.state, state_table_name(name), life)
    return life, state_in(reach, settings, life, table, pair)


async def _with_leases(tools: ViewTools, settings: ReplicationSettings) -> View:
    """Once every listed shard has a lease. Raises Stop when that does not come."""
    clock = tools.clock
    until_s = clock.boottime_s() + LEASES_WITHIN_S
    while True:
        view = await patiently(clock, "the stream's shards and the leases", tools.view)
        lacking = view.without_lease(int(tools.now_s() * 1000), tools.stream.retention_ms)
        if view.leases and not lacking and not view.unreadable:
            return view
        if not view.leases or clock.boottime_s() >= until_s:
            ids = lacking or sorted(view.unreadable) or ["all"]
            raise Stop(
                Side.STATE,
                f"not every shard of the stream has a lease in {settings.task.lease_table} (without: {ids[0]}, "
                f"{len(ids)} in all): look at the workers' logs",
            )
        log.info("waiting for leases of %d shards", len(lacking), extra={"event": "cutover_waiting", "facts": {}})
        await clock.sleep(LOOK_AGAIN_S)


async def _alive(reach: Reach, settings: ReplicationSettings, life: Incarnation, tools: ViewTools, view: View) -> str:
    """What was found of the task. A stream that is drained needs no worker. Raises Stop when nobody shows life."""
    task = settings.task.lease_table
    shards = f"{len(view.listing.shards)} shards, {len(view.unfinished)} being read"
    if not left_to_drain(view, 0, int(tools.now_s() * 1000), tools.stream.retention_ms):
        return f"{shards}; the stream is off and applied to its end"
    worker = await living_worker(Watched("this task", task, life, Side.STATE), reach.state, tools.clock)
    if worker is None:
        raise Stop(
            Side.STATE,
            f"no worker of the task shows life (lease table {task}): start dynamirror replicate with the same flags, "
            "then cut over",
        )
    return f"{shards}; worker {worker} shows life"
