"""What must be so of the tables, judged from their facts. Pure; each failure is one line that says what to do."""

import shlex

from dynamirror.errors import Refused, Side, Stop
from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.model.rate import Limit
from dynamirror.ports import TableFacts
from dynamirror.settings.groups import ReplicationSettings, SourceSettings

LEASE_SCHEMA = KeySchema(KeyAttribute("leaseKey", "S"))
VIEW_TYPE = "NEW_AND_OLD_IMAGES"
# A table that is being changed is read and written all the same (API reference, TableDescription.TableStatus).
_IN_SERVICE = frozenset({"ACTIVE", "UPDATING"})


def check_in_service(side: Side, what: str, facts: TableFacts) -> None:
    """Raises Stop unless the table can be used now."""
    if facts.status not in _IN_SERVICE:
        advice = "create it anew, then start again" if facts.status == "DELETING" else "start again when it is"
        raise Stop(side, f"the {what} is {facts.status}, not ACTIVE; {advice}")


def check_pair(source: TableFacts, destination: TableFacts, settings: ReplicationSettings) -> None:
    """Two tables (else Refused) of one key schema (else Stop)."""
    if same_table(source, destination):
        raise Refused(
            f"source and destination are the same table, {source.arn}; give another --destination-table, "
            "--destination-region or --destination-profile"
        )
    if source.schema != destination.schema:
        raise Stop(
            Side.DESTINATION,
            f"the key schemas differ: the source {settings.source.table} has {source.schema}, the destination "
            f"{settings.destination.table} has {destination.schema}; create the destination with the source's key",
        )


def check_rates(source: TableFacts, destination: TableFacts, settings: ReplicationSettings) -> None:
    """Raises Refused for a share of a capacity that the service does not say."""
    rate = settings.rate
    for flag, limit, capacity, table in (
        ("--max-read-rate", rate.read, source.capacity.read, settings.source.table),
        ("--max-write-rate", rate.write, destination.capacity.write, settings.destination.table),
    ):
        check_share(flag, limit, capacity, table)


def check_share(flag: str, limit: Limit | None, capacity_s: float | None, table: str) -> None:
    """Raises Refused for a share of a capacity that the service does not say."""
    if limit is not None and limit.of(capacity_s) is None:
        raise Refused(
            f"{flag} {limit}: the service says no capacity of {table} (neither provisioned units nor a maximum nor "
            "warm throughput); give units a second, as 500"
        )


def same_table(one: TableFacts, other: TableFacts) -> bool:
    """Whether both facts are of one table. An ARN alone does not tell: DynamoDB Local has one for the tables of
    a name in all its databases (one for each Region and access key)."""
    return (one.arn, one.table_id) == (other.arn, other.table_id)


def check_stream(source: TableFacts, settings: ReplicationSettings) -> None:
    """Raises Stop, with the command that mends it, unless the stream has both images or may be switched on."""
    name = settings.source.table
    if source.stream_arn is None:
        if settings.checks.enable_stream:
            return
        raise Stop(
            Side.SOURCE,
            f"the stream of the source table {name} is off; switch it on with --enable-stream or with: "
            + stream_command(settings.source, f"StreamEnabled=true,StreamViewType={VIEW_TYPE}"),
        )
    if source.stream_view_type != VIEW_TYPE:
        off = stream_command(settings.source, "StreamEnabled=false")
        raise Stop(
            Side.SOURCE,
            f"the stream of the source table {name} has {source.stream_view_type}, not {VIEW_TYPE}, which cannot be "
            f"changed; end it (other readers lose it) with: {off} and start again with --enable-stream",
        )


def stream_command(source: SourceSettings, specification: str) -> str:
    """The command line of the AWS CLI that changes the source's stream."""
    words = ["aws", "dynamodb", "update-table", "--region", source.region]
    if source.profile is not None:
        words += ["--profile", source.profile]
    if source.endpoint is not None:
        words += ["--endpoint-url", source.endpoint]
    words += ["--table-name", source.table, "--stream-specification", specification]
    return shlex.join(words)


def check_own(what: str, found: TableFacts, ours: KeySchema) -> None:
    """Raises Stop when a lease or state table has another key than ours, or can be used neither now nor soon."""
    if found.schema != ours:
        raise Stop(
            Side.STATE,
            f"the {what} has the key {found.schema}, but dynamirror's needs {ours}: it belongs to something else; "
            "give another --task-name",
        )
    if found.status == "DELETING":
        raise Stop(
            Side.STATE,
            f"the {what} is DELETING; start again when it is gone: it is made anew then, and without leases a task "
            "begins where --start-at says",
        )
    if found.status != "CREATING":
        check_in_service(Side.STATE, what, found)
