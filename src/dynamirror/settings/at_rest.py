"""The settings of `dynamirror copy`: those of a table that is copied and not followed."""

from collections.abc import Mapping
from dataclasses import replace

from dynamirror.errors import Refused
from dynamirror.settings.flags import FLAG_OF_FIELD
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.settings.parse import settings_from
from dynamirror.settings.values import Value

# The flags of `copy`, in the order of the flag table. The others are about the stream, or about changes.
FIELDS = (
    "source_region",
    "source_table",
    "source_endpoint",
    "source_profile",
    "source_role_arn",
    "destination_region",
    "destination_table",
    "destination_endpoint",
    "destination_profile",
    "drop_aws_rep",
    "task_name",
    "kcl_region",
    "kcl_endpoint",
    "stray_life",
    "max_parked",
    "segments",
    "allow_non_empty",
    "create_destination",
    "destination_settings",
    "indexes_after_copy",
    "max_read_rate",
    "max_write_rate",
    "log_dir",
    "log_level",
    "log_format",
    "log_config",
)
AT_REST = tuple(FLAG_OF_FIELD[field] for field in FIELDS)


def of_copy(values: Mapping[str, Value]) -> dict[str, Value]:
    """Those of `values` that `copy` has flags for: a variable may be meant for another command."""
    return {field: value for field, value in values.items() if field in FIELDS}


def settings_at_rest(values: Mapping[str, Value], now_ms: int) -> ReplicationSettings:
    """The settings for `values`, by field of the flag table. Raises Refused, also for a field that `copy` has no use
    for."""
    foreign = sorted(set(values) - set(FIELDS))
    if foreign:
        raise Refused(f"a copy at rest has no such setting: {', '.join(foreign)}")
    settings = settings_from({**values, "copy": True}, java_form=False, now_ms=now_ms)
    return replace(settings, copy=replace(settings.copy, at_rest=True))
