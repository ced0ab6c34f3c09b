"""A task name stands for one pair of tables: who gives others is refused before anything is made or changed.

Where both tables are there, engines/state_setup compares their ARNs. Here one of them is known by its name only.
"""

from dynamirror.aws.state_rows import PAIR, TASK, Incarnation, StateRows, pair_of
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Reach
from dynamirror.errors import AccessDenied, NotFound, Refused
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings


def refuse_other_names(source_arn: str, destination_arn: str, settings: ReplicationSettings) -> None:
    """Raises Refused where the task, which copies these tables, was given tables of other names. An empty ARN: not
    known."""
    for arn, table, flag in (
        (source_arn, settings.source.table, "--source-table"),
        (destination_arn, settings.destination.table, "--destination-table"),
    ):
        named = arn.rpartition(":table/")[2]
        if named not in ("", table):
            raise Refused(
                f"the task {settings.task.lease_table} belongs to another pair: it copies {source_arn} to "
                f"{destination_arn}, not {flag} {table}; check --task-name and both tables"
            )


async def refuse_making_for_other_pair(reach: Reach, settings: ReplicationSettings, clock: Clock) -> None:
    """Raises Refused where a destination would be made for a name that stands for other tables; what may not be seen
    is judged later. Raises Stop, or a Retry that did not pass."""
    name = state_table_name(settings.task.lease_table)
    rows = StateRows(reach.state, name, Incarnation("", ""))
    try:
        pair = pair_of(await patiently(clock, f"the pair in {name}", lambda: rows.row(TASK, PAIR)))
    except (NotFound, AccessDenied):
        return
    if pair is not None:
        refuse_other_names(*pair, settings)
