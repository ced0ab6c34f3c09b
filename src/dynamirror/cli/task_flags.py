"""What the commands about a task share: the flags of its workers, and who gives an order."""

import getpass
import os
import platform
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from dynamirror.cli.options import given_values, replication_options
from dynamirror.cli.verify import FIELDS
from dynamirror.engines.status_run import TaskView
from dynamirror.settings.flags import FLAGS
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.settings.parse import settings_from, values_of_variables

T = TypeVar("T")


def task_options() -> list[click.Parameter]:
    """The flags that say which task it is, and how it is reached; and --json."""
    flags = [flag for flag in FLAGS if flag.field in FIELDS]
    as_json = click.Option(["--json", "as_json"], is_flag=True, help="One JSON document instead of a page.")
    return [*replication_options(flags), as_json]


def task_settings(parameters: dict[str, Any]) -> ReplicationSettings:
    """Settings from flags and variables (flags win); logs are set up. Raises Refused."""
    variables = {field: value for field, value in values_of_variables(os.environ).items() if field in FIELDS}
    values = {**variables, **given_values(parameters)}
    settings = settings_from(values, java_form=False, now_ms=int(time.time() * 1000))
    from dynamirror.engines.launch import set_up_task_logs

    set_up_task_logs(settings, host=platform.node().partition(".")[0] or "localhost")
    return settings


def on_task(settings: ReplicationSettings, work: Callable[[TaskView], Awaitable[T]]) -> T | None:
    """What `work` has found; None: a signal ended it."""
    from dynamirror.engines.status_run import run_view

    return run_view(settings, os.environ, work)


def who() -> str:
    """Who gives the order, as others will read it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{platform.node() or 'localhost'}"
