"""From what a plan has seen to what it finds: pure, each finding with what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dynamirror.engines.destination_life import GONE, MADE_ANEW, not_its_own
from dynamirror.engines.plan_facts import Sample, TableSeen, TaskSeen
from dynamirror.engines.plan_permissions import Answer, Right
from dynamirror.engines.table_checks import (
    check_in_service,
    check_own,
    check_pair,
    check_rates,
    check_stream,
    same_table,
)
from dynamirror.errors import AccessDenied, DynamirrorError, Retry, Side, Stop
from dynamirror.model.estimate import DAY_S, CopyEstimate
from dynamirror.model.finding import Finding, Severity
from dynamirror.model.key import KeySchema
from dynamirror.model.shard_graph import Listing
from dynamirror.model.table_definition import TableDefinition
from dynamirror.model.table_differences import Severity as Weight
from dynamirror.model.table_differences import differences
from dynamirror.model.table_overrides import Wishes, check_makeable, wanted
from dynamirror.ports import TableFacts
from dynamirror.settings.bounds import refuse_unsound
from dynamirror.settings.groups import ReplicationSettings

STOP, WARN, READY = Severity.STOP, Severity.WARN, Severity.READY

# Consumers of one shard that are not throttled (Developer Guide, "Quotas"); of a global table, one.
READERS_MAX = 2
_OLD_VERSION = "2017.11.29"
# The table itself and its stream are judged by what a start would do; tags and recovery were not asked for.
_NOT_COMPARED = frozenset({"keys", "stream", "tags", "recovery", "recovery_days"})
_SEVERITY = {Weight.BREAKS: STOP, Weight.RISKS: WARN, Weight.DIFFERS: READY}
_ADVICE = {
    Weight.BREAKS: "make the destination's index anew with the source's types, or remove it",
    Weight.RISKS: "change it at the destination, unless it is meant",
    Weight.DIFFERS: "",
}


@dataclass(frozen=True, slots=True)
class Readers:
    """Who reads the stream besides; None: not known."""

    mappings: tuple[str, ...] | None = None
    tasks: tuple[TaskSeen, ...] | None = None
    replicas: tuple[str, ...] = ()


def refusal(about: str, error: DynamirrorError) -> Finding:
    """What would stop a start, in the words in which it would."""
    what, _, do = str(error).partition("; ")
    side = error.side if isinstance(error, Stop | Retry) else None
    return Finding(STOP, about, what, do or "mend it, then plan again", side, known=not isinstance(error, Retry))


def judge_source(seen: TableSeen, sample: Sample | None, settings: ReplicationSettings) -> Iterator[Finding]:
    """The table that is read, as a start would judge it."""
    yield from _tried("source", lambda: check_in_service(Side.SOURCE, f"source table {seen.name}", seen.facts))
    yield from _tried("stream", lambda: check_stream(seen.facts, settings))
    if seen.facts.stream_arn is None and settings.checks.enable_stream:
        yield Finding(READY, "stream", "it is off, and will be switched on", "")
    if settings.destination.drop_aws_rep:
        return
    if sample is None:
        what = "whether its items have aws:rep:* attributes is not known"
        yield Finding(WARN, "source", what, "allow dynamodb:Scan", known=False)
    elif sample.marks or seen.global_version == _OLD_VERSION:
        marks = ", ".join(sample.marks) or "none in the items that were looked at"
        yield Finding(
            WARN,
            "source",
            f"it is, or was, a global table of version {_OLD_VERSION}; attributes of it in its items: {marks}",
            "give --drop-aws-rep to leave these attributes out; without it items are copied as they are",
        )


def judge_destination(
    seen: TableSeen, source: TableSeen | None, sample: Sample | None, settings: ReplicationSettings
) -> Iterator[Finding]:
    """The table that is written, alone and beside the source."""
    what = f"destination table {seen.name}"
    yield from _tried("destination", lambda: check_in_service(Side.DESTINATION, what, seen.facts))
    if seen.replicas:
        regions = ", ".join(seen.replicas)
        yield Finding(WARN, "destination", f"its replicas in {regions} get every write too, and cost as much again")
    yield from _emptiness(sample, settings)
    if source is None:
        return
    yield from _tried("keys", lambda: check_pair(source.facts, seen.facts, settings))
    yield from _tried("rate", lambda: check_rates(source.facts, seen.facts, settings))
    if _is_replica(source, seen):
        yield Finding(
            STOP,
            "destination",
            f"{seen.name} in {seen.region} is a replica of the source: it has every change already",
            "name another destination table",
            Side.DESTINATION,
        )
    if same_table(source.facts, seen.facts):
        return
    for difference in differences(source.definition, seen.definition):
        if difference.setting not in _NOT_COMPARED:
            severity = _SEVERITY[difference.severity]
            do = _ADVICE[difference.severity]
            yield Finding(severity, difference.setting, difference.line, do, Side.DESTINATION)


def judge_destination_to_make(source: TableSeen | None, settings: ReplicationSettings) -> Iterator[Finding]:
    """There is no destination, and one is to be made."""
    name = settings.destination.table
    like = "as the source is defined" + (f", but for {settings.clone.origin}" if settings.clone.overrides else "")
    yield Finding(READY, "destination", f"the table {name} is missing, and will be made {like}")
    if source is not None:
        yield from _tried("destination", lambda: definition_to_make(source.definition, settings))


def definition_to_make(source: TableDefinition, settings: ReplicationSettings) -> TableDefinition:
    """How a missing destination will be made. Raises Refused when it cannot."""
    wishes = Wishes(settings.destination.region, settings.clone.overrides, settings.clone.origin)
    made = wanted(source, wishes)
    check_makeable(source, made, wishes)
    return made


def judge_stream(listing: Listing | DynamirrorError) -> Iterator[Finding]:
    """Whether it can be read."""
    if isinstance(listing, DynamirrorError):
        yield refusal("stream", listing)
    elif not listing.enabled:
        yield Finding(
            STOP, "stream", "it is being switched off", "wait until it is off, then switch it on again", Side.SOURCE
        )


def judge_readers(readers: Readers, source: TableSeen, own: str) -> Iterator[Finding]:
    """Whether there is room for one more; `own` is this task's lease table."""
    if source.facts.stream_arn is None:
        return
    others = [f"Lambda {name}" for name in readers.mappings or ()]
    others += [f"task {task.lease_table}" for task in tasks_of(readers, source.facts.arn) if task.lease_table != own]
    if readers.replicas:
        others.append("the global table itself")
    if len(others) >= READERS_MAX:
        yield Finding(
            WARN,
            "readers",
            f"{len(others)} others read the stream, or may: {', '.join(others)}; more than {READERS_MAX} readers of a "
            "shard are throttled, and lag",
            "end one of them, or let it read what dynamirror writes",
        )
    elif readers.replicas:
        regions = ", ".join(readers.replicas)
        yield Finding(
            WARN,
            "readers",
            f"the source is a global table with replicas in {regions}: AWS advises one reader of its stream",
            "see that nobody else reads it",
        )
    elif others:
        yield Finding(READY, "readers", f"one other reads the stream, or may: {others[0]}")
    yield from _unknown_readers(readers, own)


def _unknown_readers(readers: Readers, own: str) -> Iterator[Finding]:
    mute = [task.lease_table for task in readers.tasks or () if task.source_arn is None and task.lease_table != own]
    if mute:
        what = f"not known: which table the tasks of these lease tables read: {', '.join(mute)}"
        yield Finding(READY, "readers", what, "see that none of them reads the source")
    if readers.mappings is None or readers.tasks is None:
        unknown = [
            what for what, known in (("Lambda", readers.mappings), ("other tasks", readers.tasks)) if known is None
        ]
        do = "look at the stream's triggers in the console" if readers.mappings is None else "allow dynamodb:ListTables"
        yield Finding(WARN, "readers", f"whether {' or '.join(unknown)} read the stream is not known", do, known=False)


def tasks_of(readers: Readers, source_arn: str) -> tuple[TaskSeen, ...]:
    """The tasks that read this source."""
    return tuple(task for task in readers.tasks or () if task.source_arn == source_arn)


def judge_own(
    what: str, found: TableFacts | DynamirrorError | None, schema: KeySchema, *, dispensable: bool = False
) -> Iterator[Finding]:
    """The lease or state table; none is as it should be at first. A Java command line can do without the latter."""
    if isinstance(found, AccessDenied) and dispensable:
        yield Finding(WARN, "leases", f"the {what} may not be used ({found})", "take-overs after a crash take longer")
    elif isinstance(found, DynamirrorError):
        yield refusal("leases", found)
    elif found is not None:
        yield from _tried("leases", lambda: check_own(what, found, schema))


def judge_pair(task: str, remembered: tuple[str, str] | None, pair: tuple[str, str]) -> Iterator[Finding]:
    """Whether the task's name stands for this pair."""
    if remembered is not None and remembered != pair:
        what = f"the task {task} belongs to another pair: {remembered[0]} to {remembered[1]}"
        yield Finding(STOP, "leases", what, "give another --task-name")


def judge_destination_life(
    known: str | None, now: TableSeen | None, settings: ReplicationSettings
) -> Iterator[Finding]:
    """Whether the destination is still the table that the task began with, `known`; `now` None: there is none, and one
    would be made."""
    if known is not None and (now is None or now.facts.table_id != known):
        yield refusal("destination", not_its_own(settings, GONE if now is None else MADE_ANEW))


def judge_followed(followed: str | None, now: str | None) -> Iterator[Finding]:
    """Whether the table's stream is the one that the task has `followed`, as far as it has any."""
    if followed is not None and now not in (None, followed):
        what = (
            f"the task follows another stream ({followed}) than the source table has now ({now}): it was switched off "
            "and on again, or the table made anew"
        )
        do = "what the old one still has is followed to its end first; then there is a gap, for --on-gap to decide"
        yield Finding(WARN, "stream", what, do)


def judge_settings(settings: ReplicationSettings) -> Iterator[Finding]:
    """Whether their times go together."""
    yield from _tried("settings", lambda: refuse_unsound(settings))


def judge_rights(rights: tuple[Right, ...]) -> Iterator[Finding]:
    """One finding for each right that is missing, or not needed and not proved; one for all others not proved."""
    for right in rights:
        what = f"{right.side.value}: {right.action} on {right.on}"
        if right.answer is Answer.DENIED and right.else_not:
            do = f"allow dynamodb:{right.action} on it; without it {right.else_not}"
            yield Finding(WARN, "permissions", f"{what} is denied ({right.why})", do, right.side)
        elif right.answer is Answer.DENIED:
            do = f"allow dynamodb:{right.action} on it"
            yield Finding(STOP, "permissions", f"{what} is denied ({right.why})", do, right.side)
        elif right.answer is Answer.NOT_CHECKED and right.else_not:
            do = f"look at the policies; without it {right.else_not}, and replication goes on"
            yield Finding(WARN, "permissions", f"not checked: {right.action} ({right.why})", do, known=False)
    unproved = sorted({right.action for right in rights if right.answer is Answer.NOT_CHECKED and not right.else_not})
    if unproved:
        do = "look at the policies: the first request without its right stops replication with a line that names it"
        yield Finding(WARN, "permissions", f"not checked: {', '.join(unproved)}", do, known=False)


def judge_copy(copy: CopyEstimate, counted: bool) -> Iterator[Finding]:
    """Whether the destination is fast enough for it."""
    if not counted:
        do = "believe no estimate of a table that is younger than six hours"
        yield Finding(WARN, "size", "the source has no items as of its last count, which is up to six hours old", do)
    if copy.seconds is None:
        yield Finding(STOP, "capacity", "the destination takes no writes", "give it write capacity", Side.DESTINATION)
    elif copy.seconds > DAY_S:
        days = copy.seconds / DAY_S
        what = f"at {copy.rate.units_s:,.0f} write units a second ({copy.rate.why}) a copy takes {days:.1f} days"
        yield Finding(
            WARN, "capacity", what, "raise the destination's write capacity, or its warm throughput, for the copy"
        )


def _emptiness(sample: Sample | None, settings: ReplicationSettings) -> Iterator[Finding]:
    if sample is None:
        yield Finding(WARN, "destination", "whether it has items is not known", "allow dynamodb:Scan", known=False)
    elif sample.looked_at and settings.copy.wanted and not settings.copy.allow_non_empty:
        do = "empty it, or give --allow-non-empty if that is meant"
        yield Finding(STOP, "destination", "it has items", do, Side.DESTINATION)
    elif sample.looked_at:
        yield Finding(WARN, "destination", "it has items: those that the source has too are written over, others stay")


def _is_replica(source: TableSeen, destination: TableSeen) -> bool:
    """One name and one account: an ARN but for its Region."""
    here, there = (one.facts.arn.split(":") for one in (source, destination))
    same = len(here) == len(there) and here[:3] + here[4:] == there[:3] + there[4:]
    return same and destination.region in source.replicas


def _tried(about: str, check: Callable[[], object]) -> Iterator[Finding]:
    try:
        check()
    except DynamirrorError as error:
        yield refusal(about, error)
