"""`dynamirror verify`: whether two tables are the same, item by item, while they are in use; and mends what differs."""

import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dynamirror.cli.early import INTERRUPTED
from dynamirror.cli.options import GroupedHelp, given_values, replication_options
from dynamirror.errors import Refused
from dynamirror.settings.flag import Flag
from dynamirror.settings.flags import FLAG_OF_FIELD, FLAGS
from dynamirror.settings.parse import settings_from, values_of_variables
from dynamirror.settings.values import converted

HELP = """Compare two tables item by item, in both directions, while both are in use.

Reads both tables whole; what does not match is looked at again and again, until it is certain: a difference counts
when the destination has stood still with it for the patience. So nothing has to be stopped, neither writers nor
replication. Ended by a signal, or killed, the same command goes on where it was: that is noted in the task's state
table, which verify makes when there is none. Without rights to it a verify that was ended begins anew. Of the workers'
flags give those that name tables, task and credentials.

Exit code 0: equal (with --repair: everything was mended); 1: they differ. Numbers are compared by value, sets without
order. Items past their time to live are told apart and are no difference, unless --strict-ttl is given.
"""

EPILOG = """\b
Examples:
  dynamirror verify --source-region us-east-1 --source-table Orders \\
      --destination-region eu-west-1 --destination-table Orders --report differences.jsonl
  dynamirror verify ... --repair
  dynamirror verify ... --sample 1% --continuous 6h --max-read-rate 10%
  dynamirror verify ... --since 2h --json
"""

# Of replicate's flags, those that mean something for whoever looks at both tables.
FIELDS = (
    *("source_region", "source_table", "source_endpoint", "source_streams_endpoint", "source_profile"),
    *("source_role_arn", "destination_region", "destination_table", "destination_endpoint", "destination_profile"),
    *(
        "drop_aws_rep",
        "task_name",
        "kcl_region",
        "kcl_endpoint",
        "stray_life",
        "log_dir",
        "log_level",
        "log_format",
        "log_config",
    ),
)
_READ_RATE = replace(
    FLAG_OF_FIELD["max_read_rate"],
    help="Most that is read of each of the two tables: units a second (500), or a share of its capacity at the start "
    "(50%).",
    derived="what the table bears: it is read slower when it throttles",
)
# And for whoever compares them.
COMPARING = (*(flag for flag in FLAGS if flag.field in FIELDS), _READ_RATE)
COMPARING_FIELDS = tuple(flag.field for flag in COMPARING)
_PATIENCE = Flag("patience", "", "", kind="duration", least=1, most=3600)
_SINCE = Flag("since", "", "", kind="duration", least=1, most=24 * 3600)
_CONTINUOUS = Flag("continuous", "", "", kind="duration", least=1, most=365 * 24 * 3600)


def _run(as_json: bool, **parameters: Any) -> int:
    own = {name: parameters.pop(name) for name in list(parameters) if name not in COMPARING_FIELDS}
    variables = {field: value for field, value in values_of_variables(os.environ).items() if field in COMPARING_FIELDS}
    settings = settings_from({**variables, **given_values(parameters)}, java_form=False, now_ms=int(time.time() * 1000))
    from dynamirror.cli import verify_page
    from dynamirror.engines.launch import line_of, set_up_task_logs
    from dynamirror.engines.verify_options import VerifyOptions
    from dynamirror.engines.verify_run import run_verify

    options = VerifyOptions(
        repair=own["repair"],
        share=_share(own["sample"]),
        seed=own["seed"],
        since_s=_duration(_SINCE, own["since"]),
        continuous_s=_duration(_CONTINUOUS, own["continuous"]),
        strict_ttl=own["strict_ttl"],
        patience_s=_duration(_PATIENCE, own["patience"]) or 0.0,
        report=own["report"],
    )
    if options.since_s is not None and own["sample"] is not None:
        raise Refused(
            "--since and --sample exclude each other: --since looks at single keys, --sample at whole segments"
        )
    if options.seed is not None and own["sample"] is None:
        raise Refused("--seed needs --sample")
    set_up_task_logs(settings, host=platform.node().partition(".")[0] or "localhost")
    result = run_verify(settings, os.environ, options, line_of(settings, os.environ))
    if result is None:
        click.echo("dynamirror: ended before everything was compared; the same command goes on where it was", err=True)
        return INTERRUPTED
    page = verify_page.as_json if as_json else verify_page.as_text
    click.echo(page(settings, options, result))
    sys.stdout.flush()
    return result.exit_code


def _duration(flag: Flag, text: str | None) -> float | None:
    if text is None:
        return None
    value = converted(flag, text, flag.name)
    assert isinstance(value, int | float)
    return float(value)


def _share(text: str | None) -> float:
    if text is None:
        return 1.0
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not text.endswith("%") or not 0 < share <= 1:
        raise Refused(f"--sample {text}: give a share of the table as 1% or 0.5%, at most 100%")
    return share


command = GroupedHelp(
    "verify",
    callback=_run,
    params=[
        *replication_options(COMPARING),
        click.Option(
            ["--repair"],
            is_flag=True,
            help="Make the destination like the source where they differ, each item on the condition that it still is "
            "as it was seen; then look again. The source is the truth: items that only the destination has are "
            "deleted.",
        ),
        click.Option(
            ["--sample"],
            metavar="SHARE",
            help="Only so much of the tables, as 1%: some of many segments, drawn at random.",
        ),
        click.Option(
            ["--seed"], type=int, metavar="NUMBER", help="Which segments --sample draws; default: others each time."
        ),
        click.Option(
            ["--since"],
            metavar="DURATION",
            help="Only keys that the source's stream names since so long ago, as 2h; at most 24h, what a stream keeps. "
            "Parked items are looked at beside them.",
        ),
        click.Option(
            ["--continuous"],
            metavar="DURATION",
            help="Pass after pass, as 6h; the pass under way is finished. 1 when any difference remained in any pass.",
        ),
        click.Option(
            ["--report"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Append a JSON line for each key that differs, as soon as it is certain. After a kill some are told "
            "twice.",
        ),
        click.Option(["--strict-ttl"], is_flag=True, help="Items past their time to live are differences too."),
        click.Option(
            ["--patience"],
            metavar="DURATION",
            default="60s",
            show_default=True,
            help="How long a difference has to last (1s to 1h); longer than replication lags. While the task's copy "
            "holds changes back it is longer by itself.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="One JSON document instead of a page."),
    ],
    help=HELP,
    epilog=EPILOG,
)
