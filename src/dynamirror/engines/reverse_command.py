"""The task of the way back: the same pair, the other way round."""

import shlex
from collections.abc import Mapping

from dynamirror.model.task_name import reverse_task_name
from dynamirror.settings.groups import ReplicationSettings, WriteSettings
from dynamirror.settings.parse import settings_from


def reverse_values(settings: ReplicationSettings) -> dict[str, str]:
    """What has to be given to `replicate`, by field. A role of the source cannot be given for a destination."""
    near, far, task = settings.source, settings.destination, settings.task
    stray_life_s = settings.write.stray_life_s
    values = {
        "source_region": far.region,
        "source_table": far.table,
        "source_endpoint": far.endpoint,
        "source_profile": far.profile,
        "destination_region": near.region,
        "destination_table": near.table,
        "destination_endpoint": near.endpoint,
        "destination_profile": near.profile,
        "task_name": reverse_task_name(task.lease_table) if task.named else None,
        "stray_life": f"{stray_life_s:g}s" if stray_life_s != WriteSettings().stray_life_s else None,
    }
    return {field: value for field, value in values.items() if value is not None}


def reverse_settings(settings: ReplicationSettings) -> ReplicationSettings:
    """Settings of the way back: its source is where the stream is switched on."""
    return settings_from(reverse_values(settings), java_form=False, now_ms=0)


def reverse_command(values: Mapping[str, str], start_at: str) -> str:
    """The whole command line, to be pasted into a shell."""
    words = ["dynamirror", "replicate"]
    for field, value in values.items():
        words += [f"--{field.replace('_', '-')}", value]
    return shlex.join([*words, "--start-at", start_at])
