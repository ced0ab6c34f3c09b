"""What flags and variables become: each flag's effect, dependent defaults, refusals in one line."""

from pathlib import Path
from typing import Any

import pytest

from dynamirror.errors import ExitCode, Refused
from dynamirror.model.gap import OnGap
from dynamirror.model.rate import Limit
from dynamirror.model.shard_graph import Start
from dynamirror.model.task_name import lease_table_name
from dynamirror.settings.flags import FLAG_OF_FIELD, FLAGS
from dynamirror.settings.groups import Address, CloudWatchSettings, MetricsSettings, ReplicationSettings
from dynamirror.settings.needs import NEEDS
from dynamirror.settings.parse import settings_from, values_of_variables
from dynamirror.settings.values import Value

PAIR: dict[str, Value] = {
    "source_region": "us-east-1",
    "source_table": "Invoices",
    "destination_region": "us-west-2",
    "destination_table": "Invoices",
}
FILE = Path(__file__).with_name("table.toml")
# 2026-02-03T04:05:06.789Z
NOW_MS = 1_770_091_506_789


def parsed(**more: Value) -> ReplicationSettings:
    return settings_from({**PAIR, **more}, java_form=False, now_ms=NOW_MS)


# Field -> (as typed, where it arrives, what arrives there). Every flag of the table has a line.
EFFECTS: dict[str, tuple[str, str, Any]] = {
    "source_region": ("eu-west-1", "source.region", "eu-west-1"),
    "source_table": ("Orders", "source.table", "Orders"),
    "source_endpoint": ("http://127.0.0.1:8000", "source.endpoint", "http://127.0.0.1:8000"),
    "source_streams_endpoint": ("http://s:1", "source.streams_endpoint", "http://s:1"),
    "source_profile": ("live", "source.profile", "live"),
    "source_role_arn": (
        "arn:aws:iam::111122223333:role/reader",
        "source.role_arn",
        "arn:aws:iam::111122223333:role/reader",
    ),
    "destination_region": ("cn-north-1", "destination.region", "cn-north-1"),
    "destination_table": ("Copy", "destination.table", "Copy"),
    "destination_endpoint": ("http://d:1", "destination.endpoint", "http://d:1"),
    "destination_profile": ("archive", "destination.profile", "archive"),
    "drop_aws_rep": ("true", "destination.drop_aws_rep", True),
    "task_name": ("mine", "task.lease_table", "DynamoDBCrossRegionReplicationmine"),
    "kcl_region": ("eu-central-1", "task.region", "eu-central-1"),
    "kcl_endpoint": ("http://l:1", "task.endpoint", "http://l:1"),
    "processes": ("3", "processes", 3),
    "start_at": ("latest", "read.start", Start("LATEST", NOW_MS - 900_000)),
    "on_gap": ("continue", "read.on_gap", OnGap.CONTINUE),
    "batch_size": ("17", "read.batch_size", 17),
    "max_idle_poll": ("250ms", "read.idle_poll_max_s", 0.25),
    "parent_shard_poll_interval_ms": ("1500", "read.parent_poll_s", 1.5),
    "stray_life": ("5m", "write.stray_life_s", 300.0),
    "java_failover_time": ("30s", "lease.java_failover_s", 30.0),
    "cautious_takeover": ("true", "write.cautious", True),
    "max_read_rate": ("250.5", "rate.read", Limit(units_s=250.5)),
    "max_write_rate": ("50%", "rate.write", Limit(percent=50)),
    "enable_stream": ("true", "checks.enable_stream", True),
    "max_parked": ("0", "write.parked_max", 0),
    "copy": ("true", "copy.wanted", True),
    "segments": ("9", "copy.segments", 9),
    "create_destination": ("true", "clone.wanted", True),
    "destination_settings": (str(FILE), "clone.overrides", {"table_class": "STANDARD"}),
    "indexes_after_copy": ("true", "clone.indexes_after_copy", True),
    "allow_non_empty": ("true", "copy.allow_non_empty", True),
    "allow_loop": ("true", "checks.allow_loop", True),
    "log_dir": ("/var/log/x", "log.directory", Path("/var/log/x")),
    "log_level": ("debug", "log.level", "DEBUG"),
    "log_format": ("json", "log.format", "json"),
    "log_config": ("log.toml", "log.config_file", Path("log.toml")),
    "http": ("127.0.0.1:9600", "metrics.http", Address("127.0.0.1", 9600)),
    "publish_cloudwatch": ("true", "metrics.cloudwatch", CloudWatchSettings()),
    "dont_publish_cloudwatch": ("true", "metrics.cloudwatch", None),
    "cloudwatch_endpoint": ("http://c:1", "metrics.cloudwatch", CloudWatchSettings("http://c:1")),
    "cloudwatch_per_shard": ("true", "metrics.cloudwatch", CloudWatchSettings(per_shard=True)),
}


def at(settings: ReplicationSettings, path: str) -> Any:
    found: Any = settings
    for name in path.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.field)
def test_each_flag_and_its_variable_arrive_and_differ_from_the_default(flag: Any) -> None:
    text, path, expected = EFFECTS[flag.field]
    more: dict[str, Value] = dict.fromkeys(NEEDS.get(flag.field, ()), True)
    # What is on by itself in the Java tool's form alone.
    java_form = path == "metrics.cloudwatch" and flag.field != "publish_cloudwatch"

    def settings(given: dict[str, Value]) -> ReplicationSettings:
        return settings_from({**PAIR, **given, **more}, java_form, now_ms=NOW_MS)

    assert at(settings({flag.field: text}), path) == expected
    assert at(settings(values_of_variables({flag.variable: text})), path) == expected
    more = {}
    assert at(settings({}), path) != expected


@pytest.mark.parametrize("text", ["0", "-5", "0%", "100.5%", "fast", "5 units", "1e3", "50%%", "\u0665", "nan", "inf"])
def test_a_rate_that_is_none_is_refused_in_one_line_that_names_the_flag(text: str) -> None:
    with pytest.raises(Refused, match=r"^--max-write-rate .*: [^\n]+$"):
        parsed(max_write_rate=text)


def test_the_defaults_are_those_of_the_design() -> None:
    settings = parsed()
    assert settings.read.batch_size == 1000
    assert settings.read.parent_poll_s == 10.0
    assert settings.read.idle_poll_max_s == 1.0
    assert settings.read.start == Start("TRIM_HORIZON", None)
    assert settings.metrics == MetricsSettings()
    assert not settings.task.named


def test_the_default_task_name_is_the_java_tools() -> None:
    pair = ("us-east-1", "Invoices"), ("us-west-2", "Invoices")
    assert parsed().task.lease_table == lease_table_name(None, *pair)
    assert parsed(source_table="Others").task.lease_table != parsed().task.lease_table


@pytest.mark.parametrize(
    "given,region,endpoint",
    [
        ({}, "us-east-1", None),
        ({"source_endpoint": "http://s"}, "us-east-1", "http://s"),
        ({"kcl_region": "eu-west-1"}, "eu-west-1", None),
        ({"kcl_region": "eu-west-1", "source_endpoint": "http://s"}, "eu-west-1", None),
        ({"kcl_endpoint": "http://l"}, "us-east-1", "http://l"),
        ({"kcl_endpoint": "http://l", "source_endpoint": "http://s"}, "us-east-1", "http://l"),
        ({"kcl_region": "eu-west-1", "kcl_endpoint": "http://l"}, "eu-west-1", "http://l"),
        (
            {"kcl_region": "eu-west-1", "kcl_endpoint": "http://l", "source_endpoint": "http://s"},
            "eu-west-1",
            "http://l",
        ),
        # Only the destination is overridden: leases stay with the source's Region.
        ({"destination_endpoint": "http://d"}, "us-east-1", None),
    ],
)
def test_where_the_lease_table_is(given: dict[str, Value], region: str, endpoint: str | None) -> None:
    task = parsed(**given).task
    assert (task.region, task.endpoint) == (region, endpoint)


def test_an_endpoint_keeps_its_own_signing_region() -> None:
    settings = parsed(source_endpoint="http://s", destination_endpoint="http://d", source_streams_endpoint="http://t")
    assert (settings.source.region, settings.destination.region) == ("us-east-1", "us-west-2")
    assert settings.source.streams_endpoint == "http://t"
    assert parsed(source_endpoint="http://s").destination.endpoint is None


@pytest.mark.parametrize(
    "arn", ["arn:aws-cn:iam::111122223333:role/a", "arn:aws-us-gov:iam::111122223333:role/path/a+b=c,d.e@f-g"]
)
def test_roles_of_every_partition_and_path(arn: str) -> None:
    assert parsed(source_role_arn=arn).source.role_arn == arn


def test_a_name_of_255_characters_is_taken_and_of_256_refused() -> None:
    assert len(parsed(task_name="n" * 225).task.lease_table) == 255
    with pytest.raises(Refused, match="at most 255 are allowed: shorten --task-name by 1"):
        parsed(task_name="n" * 226)


@pytest.mark.parametrize(
    "text,at_ms",
    [
        ("2026-02-03T04:00:00Z", 1_770_091_200_000),
        ("2026-02-03T04:00:00", 1_770_091_200_000),
        ("2026-02-03T05:00:00+01:00", 1_770_091_200_000),
        ("2026-02-03T04:00:00.250Z", 1_770_091_200_250),
        ("20260203", 1_770_076_800_000),
        ("1770091200", 1_770_091_200_000),
        ("1770091200.5", 1_770_091_200_500),
        ("1770091200250", 1_770_091_200_250),
    ],
)
def test_times_to_start_at(text: str, at_ms: int) -> None:
    assert parsed(start_at=text).read.start == Start("TRIM_HORIZON", at_ms)


@pytest.mark.parametrize("text", ["trim-horizon", "TRIM_HORIZON", "Trim-Horizon"])
def test_trim_horizon_in_any_dress(text: str) -> None:
    assert parsed(start_at=text).read.start == Start("TRIM_HORIZON", None)


@pytest.mark.parametrize("text,seconds", [("500ms", 0.5), ("1s", 1.0), ("1.5s", 1.5), ("1m", 60.0)])
def test_durations(text: str, seconds: float) -> None:
    assert parsed(max_idle_poll=text).read.idle_poll_max_s == pytest.approx(seconds)


REFUSALS = [
    ("batch_size", "0", "--batch-size 0: must be 1 to 1000"),
    ("batch_size", "1001", "--batch-size 1001: must be 1 to 1000"),
    ("batch_size", "12.5", "--batch-size 12.5: not a whole number"),
    ("batch_size", "many", "--batch-size many: not a whole number"),
    ("parent_shard_poll_interval_ms", "-1", "must be 1 to"),
    ("max_idle_poll", "5", "not a duration; give a number and its unit"),
    ("max_idle_poll", "1ms", "--max-idle-poll 0.001s: must be 0.1s to 60s"),
    ("max_idle_poll", "2h", "must be 0.1s to 60s"),
    ("log_level", "LOUD", "--log-level LOUD: give one of DEBUG, INFO, WARNING, ERROR"),
    ("log_format", "xml", "give one of text, json"),
    ("enable_stream", "maybe", "--enable-stream=maybe: give true or false"),
    ("start_at", "yesterday", "--start-at yesterday: give trim-horizon, latest, or a time"),
    ("start_at", "2026", "give trim-horizon, latest, or a time"),
    ("start_at", "2026-02-03T05:00:00Z", "lies in the future"),
    ("source_table", "", "--source-table is empty: give TABLE, or leave it out"),
    ("source_endpoint", "  ", "--source-endpoint is empty"),
    ("source_table", "a table", "a name has only letters, digits and _ . -"),
    ("source_table", "arn:aws:dynamodb:us-east-1:111122223333:table/T1", "a name has only letters"),
    ("destination_table", "x" * 256, "the name has 256 characters, at most 255 are allowed"),
    ("source_table", "T1", "--source-table T1: a table's name has at least 3 characters"),
    ("destination_table", "T1", "--destination-table T1: a table's name has at least 3 characters"),
    ("source_region", "US East", "--source-region US East: not a Region; it must look like us-east-1"),
    ("kcl_region", "us_east_1", "--kcl-region us_east_1: not a Region"),
    ("source_role_arn", "reader", "--source-role-arn reader: not a role's ARN; it must look like arn:aws:iam::"),
    ("source_role_arn", "arn:aws:iam::111122223333:user/reader", "not a role's ARN"),
    ("task_name", "a/b", "--task-name a/b: a name has only letters"),
]


@pytest.mark.parametrize("field,text,said", REFUSALS)
def test_bad_values_are_refused_in_one_line(field: str, text: str, said: str) -> None:
    with pytest.raises(Refused) as refusal:
        parsed(**{field: text})
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == ExitCode.USAGE


def test_a_refusal_names_what_the_user_typed() -> None:
    with pytest.raises(Refused, match=r"^--batchSize 0: "):
        settings_from({**PAIR, "batch_size": "0"}, java_form=True, now_ms=NOW_MS)
    with pytest.raises(Refused, match=r"^--kclRegion x y: "):
        settings_from({**PAIR, "kcl_region": "x y"}, java_form=True, now_ms=NOW_MS)
    with pytest.raises(Refused, match=r"^DYNAMIRROR_BATCH_SIZE 0: "):
        values_of_variables({"DYNAMIRROR_BATCH_SIZE": "0"})


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(Refused, match=r"--source-region \(or DYNAMIRROR_SOURCE_REGION\), --destination-table"):
        settings_from({"source_table": "Orders", "destination_region": "eu-west-1"}, java_form=False, now_ms=NOW_MS)


def test_an_empty_or_foreign_variable_counts_for_nothing() -> None:
    environ = {"DYNAMIRROR_BATCH_SIZE": "", "DYNAMIRROR_SERVICE_HOST": "10.0.0.1", "SOURCE_REGION": "x"}
    assert values_of_variables(environ) == {}


@pytest.mark.parametrize("text,on", [("1", True), ("Yes", True), ("on", True), ("0", False), ("FALSE", False)])
def test_switches_as_variables(text: str, on: bool) -> None:
    assert values_of_variables({"DYNAMIRROR_ALLOW_LOOP": text}) == {"allow_loop": on}


def test_typed_values_are_taken_and_checked_too() -> None:
    settings = parsed(batch_size=5, max_idle_poll=2, allow_loop=True, log_dir=Path("x"))
    assert (settings.read.batch_size, settings.read.idle_poll_max_s) == (5, 2)
    assert settings.checks.allow_loop
    for wrong in ({"batch_size": 5000}, {"batch_size": True}, {"source_table": 5}, {"allow_loop": 1}):
        with pytest.raises(Refused):
            parsed(**wrong)
    with pytest.raises(Refused, match="unknown setting: batchsize"):
        parsed(batchsize=5)


def test_the_table_itself_is_sound() -> None:
    spellings = [spelling for flag in FLAGS for spelling in flag.spellings]
    assert len(spellings) == len(set(spellings))
    assert set(EFFECTS) == set(FLAG_OF_FIELD)
    for flag in FLAGS:
        assert (flag.least is None) == (flag.most is None), flag.field
        assert (flag.kind == "choice") == bool(flag.choices), flag.field
        assert flag.help.endswith("."), flag.field
        # One of: required, a default, a default in words, or off.
        assert sum([flag.required, flag.default is not None, bool(flag.derived), flag.kind == "switch"]) == 1


def test_a_copy_says_itself_where_it_begins() -> None:
    with pytest.raises(Refused, match="--copy and --start-at"):
        parsed(copy=True, start_at="latest")


def test_changes_wait_longer_where_strays_live_longer() -> None:
    assert parsed().hold.hold_s == 60
    assert parsed(stray_life="300s").hold.hold_s == 330
    assert parsed(stray_life="5s").hold.hold_s == 60
