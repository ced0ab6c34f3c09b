"""What is said of a table that is not there, by a start as by a plan."""

from dynamirror.errors import NotFound, Side
from dynamirror.model.key import KeySchema
from dynamirror.settings.groups import ReplicationSettings


def missing_source(settings: ReplicationSettings, url: str) -> NotFound:
    """`url`: where it was looked for."""
    return NotFound(
        Side.SOURCE,
        f"the source table {settings.source.table} does not exist in {settings.source.region} ({url}); check "
        "--source-table, --source-region and the account of the credentials",
    )


def missing_destination(settings: ReplicationSettings, url: str, schema: KeySchema | None) -> NotFound:
    """`schema`: the source's key, if it is known."""
    key = f" with the key {schema}" if schema is not None else ""
    return NotFound(
        Side.DESTINATION,
        f"the destination table {settings.destination.table} does not exist in {settings.destination.region} ({url}); "
        f"create it{key} (or give --create-destination), or check --destination-table, --destination-region and the "
        "account of the credentials",
    )
