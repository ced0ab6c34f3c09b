"""Credentials are found as botocore finds them and renewed ahead of time, by a plan that never hammers STS."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dynamirror.aws.credential_chain import assumed_role, chain
from dynamirror.aws.credentials import Credentials, CredentialSource
from dynamirror.aws.http import Request, Response
from dynamirror.aws.service import TABLES_API, Service, ServiceClock, Signing
from dynamirror.aws.sigv4 import Signer
from dynamirror.errors import (
    AccessDenied,
    DynamirrorError,
    ExitCode,
    Refused,
    Side,
    Stop,
    Throttled,
    Unreachable,
)
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.aws_sts import sts

ROLE = "arn:aws:iam::123456789012:role/reader"


class Issuer:
    """A fetch that takes a second and hands out numbered keys that live for `life_s`."""

    def __init__(self, clock: VirtualClock, life_s: float | None) -> None:
        self.clock = clock
        self.life_s = life_s
        self.asked_at_s: list[float] = []
        self.failure: DynamirrorError | None = None

    async def __call__(self) -> Credentials:
        self.asked_at_s.append(self.clock.boottime_s())
        await self.clock.sleep(1)
        if self.failure is not None:
            raise self.failure
        expires_at = None if self.life_s is None else self.clock.wall_s() + self.life_s
        return Credentials(f"KEY{len(self.asked_at_s)}", "secret", None, expires_at)


def source_of(life_s: float | None, clock: VirtualClock | None = None) -> tuple[CredentialSource, Issuer]:
    clock = clock or VirtualClock(boot_s=0.0)
    issuer = Issuer(clock, life_s)
    return CredentialSource(issuer, clock, lambda: 0.5), issuer


async def run_for(source: CredentialSource, clock: VirtualClock, seconds: float) -> None:
    task = asyncio.create_task(source.run())
    await clock.sleep(seconds)
    task.cancel()


@pytest.mark.parametrize("life_s,asked_max", [(15.0, 72), (3600.0, 2), (43_200.0, 1)])
def test_keys_are_renewed_at_half_of_their_life(life_s: float, asked_max: int) -> None:
    async def main() -> None:
        source, issuer = source_of(life_s)
        await source.start()
        keeping = asyncio.create_task(source.run())
        while issuer.clock.boottime_s() < 600:
            expires_at = source.current().expires_at
            assert expires_at is not None
            assert expires_at - issuer.clock.wall_s() > life_s / 2 - 2
            await issuer.clock.sleep(0.25)
        keeping.cancel()
        assert len(issuer.asked_at_s) <= asked_max

    run_virtual(main())


def test_keys_that_live_for_two_seconds_are_not_renewed_more_than_once_a_second() -> None:
    async def main() -> None:
        source, issuer = source_of(2.0)
        await source.start()
        await run_for(source, issuer.clock, 60)
        assert 25 <= len(issuer.asked_at_s) <= 31

    run_virtual(main())


@pytest.mark.parametrize("life_s", [None, -3600.0])
def test_keys_without_a_known_life_are_left_alone_or_looked_at_rarely(life_s: float | None) -> None:
    # A life that is over at once means that the local clock is off, not that STS should be asked every second.
    async def main() -> None:
        source, issuer = source_of(life_s)
        await source.start()
        await run_for(source, issuer.clock, 600)
        assert len(issuer.asked_at_s) == (1 if life_s is None else 10)

    run_virtual(main())


def test_a_failing_renewal_keeps_the_old_keys_and_backs_off(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        source, issuer = source_of(3600.0)
        await source.start()
        issuer.failure = Throttled(Side.SOURCE, "not now")
        with caplog.at_level(logging.WARNING, "dynamirror.aws"):
            await run_for(source, issuer.clock, 1800 + 600)
        assert source.current().access_key == "KEY1"
        gaps = [b - a for a, b in zip(issuer.asked_at_s[1:], issuer.asked_at_s[2:], strict=False)]
        assert 0 < gaps[0] < 3
        assert gaps == sorted(gaps)
        assert max(gaps) <= 62
        assert len(caplog.records) == len(issuer.asked_at_s) - 1
        assert caplog.records[0].__dict__["event"] == "credentials-not-renewed"
        assert "not now" in caplog.text

    run_virtual(main())


def test_after_failures_the_plan_is_as_before() -> None:
    async def main() -> None:
        source, issuer = source_of(60.0)
        await source.start()
        issuer.failure = Unreachable(Side.SOURCE, "no way")
        keeping = asyncio.create_task(source.run())
        await issuer.clock.sleep(40)
        issuer.failure = None
        await issuer.clock.sleep(100)
        asked = len(issuer.asked_at_s)
        await issuer.clock.sleep(120)
        assert len(issuer.asked_at_s) - asked in (3, 4)
        keeping.cancel()

    run_virtual(main())


def test_those_who_come_together_share_one_fetch_and_its_outcome() -> None:
    async def main() -> None:
        source, issuer = source_of(60.0)
        await source.start()
        stale = source.current()
        await asyncio.gather(*[source.refresh(stale) for _ in range(20)])
        assert len(issuer.asked_at_s) == 2
        # Whoever was refused with keys that have been replaced meanwhile waits for nothing.
        await source.refresh(stale)
        assert len(issuer.asked_at_s) == 2
        issuer.failure = Throttled(Side.SOURCE, "not now")
        refused = await asyncio.gather(*[source.refresh(source.current()) for _ in range(20)], return_exceptions=True)
        assert [type(failure) for failure in refused] == [Throttled] * 20
        assert len(issuer.asked_at_s) == 3
        issuer.failure = None
        await source.refresh(source.current())
        assert source.current().access_key == "KEY4"

    run_virtual(main())


def test_a_cancelled_fetch_is_done_again_by_the_next_who_waits() -> None:
    async def main() -> None:
        source, issuer = source_of(60.0)
        await source.start()
        stale = source.current()
        first = asyncio.create_task(source.refresh(stale))
        second = asyncio.create_task(source.refresh(stale))
        await issuer.clock.sleep(0.5)
        first.cancel()
        await second
        assert source.current().access_key == "KEY3"

    run_virtual(main())


# --- what botocore finds; these tests are blocking, and on real files and sockets


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AWS configuration of its own: nothing of this machine is found."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def profile(aws: Path, name: str, key: str) -> None:
    with (aws / "credentials").open("a") as file:
        file.write(f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


async def test_the_environment_is_found(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    found = await chain(None, "us-east-1", Side.SOURCE)()
    assert found == Credentials("AKIDEXAMPLE", "secret", "token", None)


async def test_an_expiry_that_the_chain_knows_is_kept(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00Z")
    assert (await chain(None, "us-east-1", Side.SOURCE)()).expires_at == 4_102_444_800.0


async def test_a_profile_is_found_and_read_anew_each_time(aws: Path) -> None:
    profile(aws, "there", "AKIDONE")
    fetch = chain("there", "us-east-1", Side.SOURCE)
    assert (await fetch()).access_key == "AKIDONE"
    (aws / "credentials").unlink()
    profile(aws, "there", "AKIDTWO")
    assert (await fetch()).access_key == "AKIDTWO"


async def test_a_missing_profile_is_refused_and_those_there_are_named(aws: Path) -> None:
    profile(aws, "there", "AKIDEXAMPLE")
    with pytest.raises(Refused, match=r"nowhere.*there are: there") as caught:
        await chain("nowhere", "us-east-1", Side.SOURCE)()
    assert caught.value.exit_code is ExitCode.USAGE


async def test_no_credentials_at_all_is_one_clear_line(aws: Path) -> None:
    with pytest.raises(Stop) as caught:
        await chain(None, "us-east-1", Side.DESTINATION)()
    message = str(caught.value)
    assert message.startswith("no AWS credentials for the destination (no profile named; searched: env, assume-role,")
    assert "container-role, iam-role" in message
    assert "AWS_ACCESS_KEY_ID" in message
    assert "\n" not in message
    assert caught.value.exit_code is ExitCode.DESTINATION


async def test_half_of_a_pair_of_keys_is_an_error(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    with pytest.raises(Stop, match="cannot be used"):
        await chain(None, "us-east-1", Side.SOURCE)()


async def test_a_role_is_assumed_with_what_the_profile_gives(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile(aws, "base", "AKIDBASE")
    async with sts(lambda: 1_900_000_000.0, 15.0) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        found = await assumed_role(ROLE, "base", "eu-west-3", Side.SOURCE)()
    assert found == Credentials("AKIDEXAMPLE0", "s", "t", 1_900_000_015.0)
    assert (fake.asked[0]["RoleArn"], fake.asked[0]["RoleSessionName"]) == (ROLE, "dynamirror")
    assert "Credential=AKIDBASE/" in fake.authorizations[0]
    assert "/eu-west-3/sts/" in fake.authorizations[0]


async def test_a_role_that_may_not_be_assumed_says_so(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile(aws, "base", "AKIDBASE")
    async with sts(lambda: 0.0, 15.0) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        fake.refusal = "AccessDenied"
        with pytest.raises(AccessDenied, match=f"assume the role {ROLE}.*sts:AssumeRole"):
            await assumed_role(ROLE, "base", "eu-west-3", Side.SOURCE)()
        fake.refusal = "ExpiredToken"
        with pytest.raises(Stop, match="ExpiredToken"):
            await assumed_role(ROLE, "base", "eu-west-3", Side.SOURCE)()


@pytest.mark.parametrize("page", ["<html>Please log in</html>", "welcome", "<a/>", ""])
async def test_a_page_of_something_else_is_not_sts(aws: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    profile(aws, "base", "AKIDBASE")
    async with sts(lambda: 0.0, 15.0) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
        fake.page = page
        with pytest.raises(Unreachable, match="is not STS; check HTTPS_PROXY"):
            await assumed_role(ROLE, "base", "eu-west-3", Side.SOURCE)()


async def test_an_sts_that_cannot_be_reached_may_be_reached_later(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile(aws, "base", "AKIDBASE")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1/")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    with pytest.raises(Unreachable, match=ROLE):
        await assumed_role(ROLE, "base", "eu-west-3", Side.SOURCE)()


class FastClock:
    """Real time, five times faster; but for moments in which the machine had no time for us."""

    RATE = 5
    MOMENT_S_MAX = 0.05

    def __init__(self) -> None:
        self._seen_s = time.monotonic()
        self._passed_s = 0.0

    def boottime_s(self) -> float:
        now_s = time.monotonic()
        self._passed_s += min(now_s - self._seen_s, self.MOMENT_S_MAX) * self.RATE
        self._seen_s = now_s
        return self._passed_s

    def wall_s(self) -> float:
        return 1_900_000_000.0 + self.boottime_s()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s / self.RATE)


def checking(
    used: dict[str, int], expires_at: dict[str, float], now_s: Callable[[], float]
) -> Callable[[Request, float], object]:
    """A transport that refuses keys past their expiry, as the service does."""

    async def transport(request: Request, timeout_s: float) -> Response:
        key = request.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        assert now_s() < expires_at[key], f"{key} was used after its expiry"
        used[key] = used.get(key, 0) + 1
        await asyncio.sleep(0.002)
        return Response(200, {"x-amzn-requestid": "1"}, b"{}")

    return transport


async def test_under_load_no_key_is_used_late_and_sts_is_asked_seldom(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FastClock()
    profile(aws, "base", "AKIDBASE")
    used: dict[str, int] = {}
    async with sts(clock.wall_s, 15.0) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        source = CredentialSource(assumed_role(ROLE, "base", "us-east-1", Side.SOURCE), clock, lambda: 0.5)
        await source.start()
        keeping = asyncio.create_task(source.run())
        signing = Signing(Signer("us-east-1"), source, ServiceClock(clock.wall_s, clock.boottime_s))
        transport = checking(used, fake.expires_at, clock.wall_s)
        service = Service(TABLES_API, Side.SOURCE, "http://127.0.0.1/", signing, transport, 5.0)  # type: ignore[arg-type]
        while clock.boottime_s() < 35:
            await asyncio.gather(*[service.call("GetItem", b"{}") for _ in range(8)])
        keeping.cancel()
    assert set(used) | {f"AKIDEXAMPLE{len(fake.expires_at) - 1}"} == set(fake.expires_at)
    # Not fewer than their lives need; a busy machine asks late, within them.
    assert 35 / 15 < len(fake.expires_at) <= 35 / 7.5 + 1
    assert len(fake.asked) == len(fake.expires_at)
