"""The name of a task's lease table, as the Java tool makes it
(DynamoDBConnectorUtilities.getTaskName; docs/LEASES.md, "The table")."""

from hashlib import md5

from dynamirror.errors import Refused

LEASE_TABLE_PREFIX = "DynamoDBCrossRegionReplication"
# A table name has at most 255 characters (DynamoDB API, CreateTable).
TABLE_NAME_LENGTH_MAX = 255
_STATE_SUFFIX = "-state"
_REVERSE_SUFFIX = "-reverse"


def lease_table_name(task_name: str | None, source: tuple[str, str], destination: tuple[str, str]) -> str:
    """Prefix + task name; without one, prefix + MD5 of the pair. `source` and `destination` are (Region, table).

    Raises Refused when the whole name is longer than a table name may be.
    """
    if task_name is None:
        pair = "".join((*source, *destination))
        task_name = md5(pair.encode(), usedforsecurity=False).hexdigest()
    name = LEASE_TABLE_PREFIX + task_name
    if len(name) > TABLE_NAME_LENGTH_MAX:
        raise Refused(
            f"the lease table's name would have {len(name)} characters ({LEASE_TABLE_PREFIX} + task name), "
            f"at most {TABLE_NAME_LENGTH_MAX} are allowed: shorten --task-name by {len(name) - TABLE_NAME_LENGTH_MAX}"
        )
    return name


def reverse_task_name(lease_table: str) -> str:
    """What `cutover` calls the way back of a named task: NAME-reverse, and of that one NAME again."""
    name = lease_table.removeprefix(LEASE_TABLE_PREFIX)
    return name.removesuffix(_REVERSE_SUFFIX) if name.endswith(_REVERSE_SUFFIX) else name + _REVERSE_SUFFIX


def state_table_name(lease_table: str) -> str:
    """`<lease table>-state`; a name that would be too long ends in a hash of the whole instead."""
    name = lease_table + _STATE_SUFFIX
    if len(name) <= TABLE_NAME_LENGTH_MAX:
        return name
    digest = md5(lease_table.encode(), usedforsecurity=False).hexdigest()[:16]
    return name[: TABLE_NAME_LENGTH_MAX - len(digest) - len(_STATE_SUFFIX) - 1] + "-" + digest + _STATE_SUFFIX
