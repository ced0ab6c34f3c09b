"""From what was typed to settings: text checked against the flag table, defaults and dependent values filled in.

Environment and time are handed in; one file is read (settings/destination_file). Every error is a Refused of one line
that names the flag.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dynamirror.errors import Refused
from dynamirror.model.gap import OnGap
from dynamirror.model.rate import Limit
from dynamirror.model.shard_graph import Start
from dynamirror.model.task_name import TABLE_NAME_LENGTH_MAX, lease_table_name
from dynamirror.settings.destination_file import read_destination_file
from dynamirror.settings.flag import Flag
from dynamirror.settings.flags import FLAG_OF_FIELD, FLAGS
from dynamirror.settings.groups import (
    CheckSettings,
    CloneSettings,
    CopySettings,
    DestinationSettings,
    HoldSettings,
    LeaseSettings,
    LogSettings,
    RateSettings,
    ReadSettings,
    ReplicationSettings,
    SourceSettings,
    TaskSettings,
    WriteSettings,
)
from dynamirror.settings.java_times import lease_for_java, write_for_java
from dynamirror.settings.metrics import metrics_settings
from dynamirror.settings.needs import refuse_alone
from dynamirror.settings.processes import parsed_processes
from dynamirror.settings.rate import parsed_rate
from dynamirror.settings.start_at import parsed_start
from dynamirror.settings.values import Value, converted

# CreateTable: the characters of a table name, and how many there are at least.
_TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_TABLE_NAME_LENGTH_MIN = 3
# IAM, "Identifiers": partition, account, path and name of a role. Without this STS is asked first, and says less.
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
# Whether there is such a Region, `aws/endpoints` knows.
_REGION = re.compile(r"[a-z0-9-]+")


def values_of_variables(environ: Mapping[str, str]) -> dict[str, Value]:
    """What the DYNAMIRROR_* variables say, by field. An empty variable counts as not set."""
    return {
        flag.field: converted(flag, environ[flag.variable], flag.variable)
        for flag in FLAGS
        if environ.get(flag.variable)
    }


def settings_from(values: Mapping[str, Value], java_form: bool, now_ms: int) -> ReplicationSettings:
    """The settings for `values`, by field of the flag table, as text or already of the right type.

    `now_ms` is where `--start-at latest` begins. Raises Refused.
    """
    unknown = sorted(set(values) - set(FLAG_OF_FIELD))
    if unknown:
        raise Refused(f"unknown setting: {', '.join(unknown)}")
    given = _complete(values, java_form)
    refuse_alone({field: given[field] for field in values})
    for field in ("source_table", "destination_table", "task_name"):
        _check_name(given, field, java_form)
    for field, form, otherwise in (
        ("source_region", _REGION, "not a Region; it must look like us-east-1"),
        ("destination_region", _REGION, "not a Region; it must look like us-east-1"),
        ("kcl_region", _REGION, "not a Region; it must look like us-east-1"),
        ("source_role_arn", _ROLE_ARN, "not a role's ARN; it must look like arn:aws:iam::111122223333:role/name"),
    ):
        _check_form(given, field, java_form, form, otherwise)
    failover_s = given.number("java_failover_time")
    write = _write(given, failover_s)
    return ReplicationSettings(
        source=_source(given),
        destination=_destination(given),
        task=_task(given),
        read=_read(given, now_ms),
        write=write,
        lease=lease_for_java(LeaseSettings(), write, failover_s),
        hold=_hold(write),
        copy=_copy(given),
        clone=_clone(given),
        rate=RateSettings(_rate(given, "max_read_rate"), _rate(given, "max_write_rate")),
        log=_log(given),
        checks=CheckSettings(allow_loop=given.on("allow_loop"), enable_stream=given.on("enable_stream")),
        metrics=metrics_settings(given, java_form),
        processes=parsed_processes(given.text("processes"), FLAG_OF_FIELD["processes"].name),
        java_form=java_form,
    )


class _Given(dict[str, Value]):
    """Converted values by field, defaults filled in; read by type."""

    def text(self, field: str) -> str:
        return str(self[field])

    def text_or_none(self, field: str) -> str | None:
        return str(self[field]) if field in self else None

    def number(self, field: str) -> float:
        value = self[field]
        assert isinstance(value, int | float)
        return value

    def path_or_none(self, field: str) -> Path | None:
        return Path(str(self[field])) if field in self else None

    def on(self, field: str) -> bool:
        return self.get(field) is True


def _complete(values: Mapping[str, Value], java_form: bool) -> _Given:
    given = _Given()
    missing = []
    for flag in FLAGS:
        label = _label(flag, java_form)
        if flag.field in values:
            given[flag.field] = converted(flag, values[flag.field], label)
        elif flag.default is not None:
            given[flag.field] = converted(flag, flag.default, label)
        elif flag.required:
            missing.append(f"{label} (or {flag.variable})")
    if missing:
        raise Refused(f"missing: {', '.join(missing)}")
    return given


def _check_name(given: _Given, field: str, java_form: bool) -> None:
    name = given.text_or_none(field)
    if name is None:
        return
    label = _label(FLAG_OF_FIELD[field], java_form)
    if not _TABLE_NAME.fullmatch(name):
        raise Refused(f"{label} {name}: a name has only letters, digits and _ . -")
    if len(name) > TABLE_NAME_LENGTH_MAX:
        raise Refused(f"{label}: the name has {len(name)} characters, at most {TABLE_NAME_LENGTH_MAX} are allowed")
    if field != "task_name" and len(name) < _TABLE_NAME_LENGTH_MIN:
        raise Refused(f"{label} {name}: a table's name has at least {_TABLE_NAME_LENGTH_MIN} characters")


def _check_form(given: _Given, field: str, java_form: bool, form: re.Pattern[str], otherwise: str) -> None:
    value = given.text_or_none(field)
    if value is not None and not form.fullmatch(value):
        raise Refused(f"{_label(FLAG_OF_FIELD[field], java_form)} {value}: {otherwise}")


def _label(flag: Flag, java_form: bool) -> str:
    """What the user is likely to have typed."""
    return flag.java[0] if java_form and flag.java else flag.name


def _source(given: _Given) -> SourceSettings:
    return SourceSettings(
        region=given.text("source_region"),
        table=given.text("source_table"),
        endpoint=given.text_or_none("source_endpoint"),
        streams_endpoint=given.text_or_none("source_streams_endpoint"),
        profile=given.text_or_none("source_profile"),
        role_arn=given.text_or_none("source_role_arn"),
    )


def _destination(given: _Given) -> DestinationSettings:
    return DestinationSettings(
        region=given.text("destination_region"),
        table=given.text("destination_table"),
        endpoint=given.text_or_none("destination_endpoint"),
        profile=given.text_or_none("destination_profile"),
        drop_aws_rep=given.on("drop_aws_rep"),
    )


def _task(given: _Given) -> TaskSettings:
    """The source endpoint also serves the leases, unless their Region was set apart (the Java tool's rule).

    There an endpoint without a Region was ignored; here it counts.
    """
    region = given.text_or_none("kcl_region")
    endpoint = given.text_or_none("kcl_endpoint")
    if endpoint is None and region is None:
        endpoint = given.text_or_none("source_endpoint")
    name = given.text_or_none("task_name")
    source = (given.text("source_region"), given.text("source_table"))
    destination = (given.text("destination_region"), given.text("destination_table"))
    return TaskSettings(
        region=region or source[0],
        endpoint=endpoint,
        lease_table=lease_table_name(name, source, destination),
        named=name is not None,
    )


def _read(given: _Given, now_ms: int) -> ReadSettings:
    return ReadSettings(
        batch_size=int(given.number("batch_size")),
        idle_poll_max_s=given.number("max_idle_poll"),
        parent_poll_s=given.number("parent_shard_poll_interval_ms") / 1000,
        start=_start(given, now_ms),
        on_gap=OnGap(given.text("on_gap")),
    )


def _start(given: _Given, now_ms: int) -> Start:
    return parsed_start(given.text("start_at"), FLAG_OF_FIELD["start_at"].name, now_ms)


def _write(given: _Given, failover_s: float) -> WriteSettings:
    write = WriteSettings(
        stray_life_s=given.number("stray_life"),
        cautious=given.on("cautious_takeover"),
        parked_max=int(given.number("max_parked")),
    )
    return write_for_java(write, failover_s)


def _hold(write: WriteSettings) -> HoldSettings:
    """The hold outlives whatever a longer stray life allows (settings/bounds)."""
    usual = HoldSettings()
    longer_s = max(0.0, write.stray_life_s - WriteSettings().stray_life_s)
    return replace(usual, hold_s=usual.hold_s + longer_s)


def _clone(given: _Given) -> CloneSettings:
    made, later = given.on("create_destination"), given.on("indexes_after_copy")
    path = given.path_or_none("destination_settings")
    if path is None:
        return CloneSettings(made, later)
    return CloneSettings(made, later, read_destination_file(path), f"--destination-settings {path}")


def _copy(given: _Given) -> CopySettings:
    if given.on("copy") and given.text("start_at") != "trim-horizon":
        raise Refused("--copy and --start-at exclude each other: a copy says itself where the stream is followed from")
    return CopySettings(
        wanted=given.on("copy"), allow_non_empty=given.on("allow_non_empty"), segments=int(given.number("segments"))
    )


def _rate(given: _Given, field: str) -> Limit | None:
    text = given.text_or_none(field)
    return None if text is None else parsed_rate(text, FLAG_OF_FIELD[field].name)


def _log(given: _Given) -> LogSettings:
    return LogSettings(
        directory=given.path_or_none("log_dir"),
        level=given.text("log_level"),
        format=given.text("log_format"),
        config_file=given.path_or_none("log_config"),
    )
