"""What is published by itself, and where figures are served."""

import pytest

from dynamirror.errors import Refused
from dynamirror.settings.groups import Address, CloudWatchSettings
from dynamirror.settings.parse import settings_from
from dynamirror.settings.values import Value
from tests.unit.settings.test_parse import NOW_MS, PAIR


def published(java_form: bool, **given: Value) -> CloudWatchSettings | None:
    return settings_from({**PAIR, **given}, java_form, now_ms=NOW_MS).metrics.cloudwatch


def test_the_java_tools_command_line_publishes_by_itself_and_replicate_on_request() -> None:
    assert published(True) == CloudWatchSettings()
    assert published(False) is None
    assert published(False, publish_cloudwatch=True) == published(True, publish_cloudwatch=True) == CloudWatchSettings()
    assert published(True, dont_publish_cloudwatch=True) is None
    assert published(False, dont_publish_cloudwatch=True) is None


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8000", "localhost:8000", "http://[::1]:8000", "LOCALHOST"])
def test_never_by_itself_where_the_source_is_on_this_machine(endpoint: str) -> None:
    assert published(True, source_endpoint=endpoint) is None
    assert published(True, source_endpoint=endpoint, publish_cloudwatch=True) is not None


def test_another_endpoint_of_the_source_changes_nothing() -> None:
    assert published(True, source_endpoint="https://dynamodb.example.com") is not None
    assert published(True, destination_endpoint="http://127.0.0.1:8000") is not None


@pytest.mark.parametrize("java_form", [False, True])
def test_both_flags_are_refused(java_form: bool) -> None:
    with pytest.raises(Refused, match="exclude each other"):
        published(java_form, publish_cloudwatch=True, dont_publish_cloudwatch=True)


@pytest.mark.parametrize("more", [{"cloudwatch_endpoint": "http://c"}, {"cloudwatch_per_shard": True}])
def test_what_does_nothing_is_refused(more: dict[str, Value]) -> None:
    for java_form, off in (
        (False, {}),
        (True, {"dont_publish_cloudwatch": True}),
        (True, {"source_endpoint": "[::1]"}),
    ):
        given: dict[str, Value] = {**more, **off}
        with pytest.raises(Refused, match=r"^--cloudwatch-\S+ does nothing where nothing is published"):
            published(java_form, **given)
    assert published(True, **more) is not None


@pytest.mark.parametrize(
    "text,host,port",
    [
        ("127.0.0.1:9600", "127.0.0.1", 9600),
        ("127.1.2.3:1", "127.1.2.3", 1),
        ("localhost:65535", "127.0.0.1", 65_535),
        ("[::1]:9600", "::1", 9600),
    ],
)
def test_addresses_of_this_machine(text: str, host: str, port: int) -> None:
    http = settings_from({**PAIR, "http": text}, java_form=False, now_ms=NOW_MS).metrics.http
    assert http == Address(host, port)
    assert text.replace("localhost", "127.0.0.1") == str(http)


@pytest.mark.parametrize(
    "text,why",
    [
        ("0.0.0.0:9600", "only an address of this machine"),
        ("10.1.2.3:9600", "only an address of this machine"),
        ("[::]:9600", "only an address of this machine"),
        ("example.com:80", "only an address of this machine"),
        ("127.0.0.1", "give an address"),
        ("9600", "give an address"),
        (":9600", "give an address"),
        ("127.0.0.1:0", "give an address"),
        ("127.0.0.1:65536", "give an address"),
        ("::1:9600", "give an address"),
        ("http://127.0.0.1:9600", "give an address"),
    ],
)
def test_other_addresses_are_refused(text: str, why: str) -> None:
    with pytest.raises(Refused, match=f"^--http .*: {why}"):
        settings_from({**PAIR, "http": text}, java_form=False, now_ms=NOW_MS)
