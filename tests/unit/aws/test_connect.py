"""From settings to services: which end is called where, for which Region, as whom."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dynamirror.aws.connect import Connections, connect
from dynamirror.aws.service import Service
from dynamirror.errors import Refused, Side, Stop, Unreachable
from dynamirror.settings.groups import (
    DestinationSettings,
    ReplicationSettings,
    SourceSettings,
    TaskSettings,
)
from tests.support.aws_servers import Server, answer, answering
from tests.support.aws_sts import sts

ROLE = "arn:aws:iam::123456789012:role/reader"


class RealClock:
    def boottime_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


@pytest.fixture(autouse=True)
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three identities in a configuration of its own."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "credentials").write_text(
        "".join(
            f"[{name}]\naws_access_key_id = AKID{name.upper()}\naws_secret_access_key = secret\n"
            for name in ("default", "from", "to")
        )
    )
    return tmp_path


def settings(
    source: SourceSettings | None = None,
    destination: DestinationSettings | None = None,
    task: TaskSettings | None = None,
) -> ReplicationSettings:
    return ReplicationSettings(
        source=source or SourceSettings("us-west-2", "T"),
        destination=destination or DestinationSettings("eu-west-1", "T"),
        task=task or TaskSettings("us-west-2", None, "L", named=False),
    )


@asynccontextmanager
async def connected(given: ReplicationSettings) -> AsyncIterator[Connections]:
    async with connect(given, dict(os.environ), RealClock(), random.Random(1).random) as connections:
        yield connections


def scope_of(server: Server) -> str:
    """Access key and Region that the last request to `server` was signed with."""
    authorization = server.requests[-1][1]["authorization"]
    key, _, region, *_ = authorization.partition("Credential=")[2].split("/")
    return f"{key} {region}"


async def test_by_default_each_end_is_its_regions_own() -> None:
    async with connected(settings()) as ends:
        assert ends.source.url == "https://dynamodb.us-west-2.amazonaws.com/"
        assert ends.streams.url == "https://streams.dynamodb.us-west-2.amazonaws.com/"
        assert ends.destination.url == "https://dynamodb.eu-west-1.amazonaws.com/"
        assert ends.state.url == ends.source.url
        assert [end.side for end in (ends.source, ends.destination, ends.state)] == list(Side)
        assert len(ends.sources) == 1


async def test_each_end_may_be_elsewhere_and_is_signed_for_its_own_region() -> None:
    async with answering(answer()) as a, answering(answer()) as b, answering(answer()) as c, answering(answer()) as d:
        given = settings(
            SourceSettings("mars-1", "T", endpoint=a.url, streams_endpoint=b.url, profile="from"),
            DestinationSettings("mars-2", "T", endpoint=c.url, profile="to"),
            TaskSettings("mars-3", d.url, "L", named=False),
        )
        async with connected(given) as ends:
            for service in (ends.source, ends.streams, ends.destination, ends.state):
                assert await service.call("X", b"{}") == b"{}"
        assert [scope_of(server) for server in (a, b, c, d)] == [
            "AKIDFROM mars-1",
            "AKIDFROM mars-1",
            "AKIDTO mars-2",
            "AKIDDEFAULT mars-3",
        ]
        targets = [server.requests[0][1]["x-amz-target"] for server in (a, b)]
        assert targets == ["DynamoDB_20120810.X", "DynamoDBStreams_20120810.X"]


async def test_streams_follow_the_source_endpoint_unless_it_is_the_regions_own() -> None:
    async with connected(settings(SourceSettings("us-west-2", "T", endpoint="http://127.0.0.1:8000"))) as ends:
        assert ends.streams.url == "http://127.0.0.1:8000/"
        assert ends.destination.url == "https://dynamodb.eu-west-1.amazonaws.com/"
    spelled_out = SourceSettings("us-west-2", "T", endpoint="dynamodb.us-west-2.amazonaws.com")
    async with connected(settings(spelled_out)) as ends:
        assert ends.source.url == "https://dynamodb.us-west-2.amazonaws.com/"
        assert ends.streams.url == "https://streams.dynamodb.us-west-2.amazonaws.com/"


async def test_the_role_is_for_the_source_and_its_stream_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(answer()) as server, sts(lambda: 1_900_000_000.0, 3600.0) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        given = settings(
            SourceSettings("us-west-2", "T", endpoint=server.url, role_arn=ROLE, profile="from"),
            DestinationSettings("eu-west-1", "T", endpoint=server.url),
            TaskSettings("us-west-2", server.url, "L", named=False),
        )

        async def scope(service: Service) -> str:
            await service.call("X", b"{}")
            return scope_of(server)

        async with connected(given) as ends:
            assert await scope(ends.source) == "AKIDEXAMPLE0 us-west-2"
            assert await scope(ends.streams) == "AKIDEXAMPLE0 us-west-2"
            assert await scope(ends.destination) == "AKIDDEFAULT eu-west-1"
            assert await scope(ends.state) == "AKIDDEFAULT us-west-2"
            assert len(ends.sources) == 2
    assert len(fake.asked) == 1


async def test_credentials_are_kept_fresh_while_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    # Keys of two seconds are renewed every second.
    async with sts(time.time, 2.0) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        async with connected(settings(SourceSettings("us-west-2", "T", role_arn=ROLE))) as ends:
            begun_s = time.monotonic()
            keeping = asyncio.create_task(ends.keep_fresh())
            for _ in range(300):
                await asyncio.sleep(0.1)
                if len(fake.asked) >= 3:
                    break
            keeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await keeping
    assert 3 <= len(fake.asked) <= 2 + time.monotonic() - begun_s


async def test_a_control_plane_speaks_for_its_own_side() -> None:
    with_endpoint = DestinationSettings("eu-west-1", "T", endpoint="http://127.0.0.1:1")
    async with connected(settings(destination=with_endpoint)) as ends:
        planes = (ends.source_control, ends.destination_control, ends.state_control)
        assert [plane.side for plane in planes] == list(Side)
        monkeypatched_sleep = pytest.MonkeyPatch()
        monkeypatched_sleep.setattr(RealClock, "sleep", lambda *_: asyncio.sleep(0))
        with pytest.raises(Unreachable, match=r"could not connect to http://127\.0\.0\.1:1/"):
            await ends.destination_control.describe_table("T")
        monkeypatched_sleep.undo()


@pytest.mark.parametrize(
    "given,said",
    [
        (settings(SourceSettings("us-esat-1", "T")), "us-east-1"),
        (settings(destination=DestinationSettings("eu-west-1", "T", endpoint="ftp://h")), "must start with"),
        (
            settings(destination=DestinationSettings("eu-west-1", "T", profile="nobody")),
            "^--destination-profile: .*nobody",
        ),
        (settings(SourceSettings("us-east-1", "T", profile="no one")), "^--source-profile: .*no one"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_sent(given: ReplicationSettings, said: str) -> None:
    with pytest.raises(Refused, match=said):
        async with connected(given):
            pass


async def test_without_credentials_the_side_is_named(aws: Path) -> None:
    (aws / "credentials").unlink()
    with pytest.raises(Stop, match="no AWS credentials for the source"):
        async with connected(settings()):
            pass


async def test_the_certificate_bundle_is_taken_from_environment_or_configuration(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(aws / "environment.pem"))
    with pytest.raises(Refused, match=r"environment\.pem"):
        async with connected(settings()):
            pass
    monkeypatch.delenv("AWS_CA_BUNDLE")
    (aws / "config").write_text(f"[default]\nca_bundle = {aws / 'configured.pem'}\n")
    with pytest.raises(Refused, match=r"configured\.pem"):
        async with connected(settings()):
            pass
