"""One call of a service: what is sent, what is cured (a clock, expired keys), and what is passed on at once."""

import asyncio
import json
import logging
from collections.abc import Callable
from email.utils import formatdate
from zlib import crc32

import pytest

from dynamirror.aws.credentials import Credentials
from dynamirror.aws.faults import ClockOff
from dynamirror.aws.http import Request, Response
from dynamirror.aws.service import TABLES_API, Service, ServiceClock, Signing
from dynamirror.aws.sigv4 import Signer
from dynamirror.errors import CredentialsExpired, Side, Stop, Throttled, Unanswered
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

URL = "https://dynamodb.us-west-2.amazonaws.com/"
LOCAL_NOW_S = 1_800_000_000.0
FIRST, SECOND = Credentials("AKIDFIRST", "secret"), Credentials("AKIDSECOND", "secret")

Answer = Callable[[Request], Response]


def ok(body: bytes = b"{}", **headers: str) -> Answer:
    return lambda _: Response(200, {"x-amz-crc32": str(crc32(body)), **headers}, body)


def refusal(name: str, said: str = "words", **headers: str) -> Answer:
    body = json.dumps({"__type": name, "message": said}).encode()
    return lambda _: Response(400, headers, body)


class KeyRing:
    """Two sets of keys: the second replaces the first."""

    def __init__(self) -> None:
        self.present = FIRST
        self.refused: list[Credentials] = []

    def current(self) -> Credentials:
        return self.present

    async def refresh(self, refused: Credentials) -> None:
        self.refused.append(refused)
        self.present = SECOND


class Scripted:
    """A service over answers in turn; `sent` is what went out."""

    def __init__(self, *answers: Answer, boottime_s: Callable[[], float] = lambda: 0.0) -> None:
        self.answers = list(answers)
        self.sent: list[Request] = []
        self.timeouts: set[float] = set()
        self.keys = KeyRing()
        self.clock = ServiceClock(lambda: LOCAL_NOW_S, boottime_s)
        signing = Signing(Signer("us-west-2"), self.keys, self.clock)
        self.service = Service(TABLES_API, Side.SOURCE, URL, signing, self.transport, 5.0)

    async def transport(self, request: Request, timeout_s: float) -> Response:
        self.sent.append(request)
        self.timeouts.add(timeout_s)
        return self.answers.pop(0)(request)

    async def call(self) -> bytes:
        return await self.service.call("GetItem", b'{"TableName":"T"}')


async def test_one_signed_attempt() -> None:
    script = Scripted(ok(b'{"Item":{}}'))
    assert await script.call() == b'{"Item":{}}'
    [request] = script.sent
    assert (request.url, request.body) == (URL, b'{"TableName":"T"}')
    assert request.headers["X-Amz-Target"] == "DynamoDB_20120810.GetItem"
    assert request.headers["Host"] == "dynamodb.us-west-2.amazonaws.com"
    assert "Credential=AKIDFIRST/20270115/us-west-2/dynamodb/aws4_request" in request.headers["Authorization"]
    assert script.timeouts == {5.0}


async def test_refusals_and_failures_are_passed_on_without_another_attempt() -> None:
    script = Scripted(refusal("ThrottlingException"))
    with pytest.raises(Throttled, match=r"GetItem \(source, table T\): ThrottlingException: words"):
        await script.call()
    assert len(script.sent) == 1


async def test_a_damaged_answer_is_unanswered() -> None:
    for status in (200, 400):
        script = Scripted(lambda _, status=status: Response(status, {"x-amz-crc32": "1"}, b"{}"))  # type: ignore[misc]
        with pytest.raises(Unanswered, match="checksum"):
            await script.call()


@pytest.mark.parametrize(
    "name,value",
    [("x-amzn-requestid", "1"), ("content-type", "application/x-amz-json-1.0"), ("x-amz-crc32", "2745614147")],
)
async def test_an_empty_answer_is_known_by_its_headers(name: str, value: str) -> None:
    """Not every implementation sends all three."""
    assert await Scripted(lambda _: Response(200, {name: value}, b"{}")).call() == b"{}"


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}])
async def test_json_of_something_else_is_no_answer(headers: dict[str, str]) -> None:
    """An empty object would say: written, or: there is no such row."""
    with pytest.raises(Unanswered, match=f"^GetItem: {URL} answered .* none of DynamoDB's headers; check the endpoint"):
        await Scripted(lambda _: Response(200, headers, b"{}")).call()


@pytest.mark.parametrize("body", [b"", b"<html>Welcome</html>", b"[]"])
async def test_200_from_something_else_stops(body: bytes) -> None:
    with pytest.raises(Stop, match="is not DynamoDB"):
        await Scripted(lambda _: Response(200, {}, body)).call()


@pytest.mark.parametrize("body", [b"", b"<html>Welcome</html>", b"[]"])
async def test_200_without_json_is_in_doubt_once_dynamodb_has_answered(body: bytes) -> None:
    """A damaged answer, or a proxy's word, ends no worker that was replicating a moment ago."""
    script = Scripted(ok(), lambda _: Response(200, {}, body), ok())
    await script.call()
    with pytest.raises(Unanswered, match=f"^GetItem: {URL} answered .* not with DynamoDB's JSON"):
        await script.call()
    await script.call()


@pytest.mark.parametrize("name,value", [("x-amzn-requestid", "1"), ("content-type", "application/x-amz-json-1.0")])
async def test_200_without_json_is_in_doubt_when_its_headers_are_dynamodbs(name: str, value: str) -> None:
    with pytest.raises(Unanswered, match="not with DynamoDB's JSON"):
        await Scripted(lambda _: Response(200, {name: value}, b"")).call()


async def test_expired_keys_are_replaced_and_the_call_goes_on() -> None:
    script = Scripted(refusal("ExpiredTokenException"), ok())
    await script.call()
    assert script.keys.refused == [FIRST]
    assert "AKIDSECOND" in script.sent[1].headers["Authorization"]


@pytest.mark.parametrize("takes_s,sent", [(2.0, 2), (4.99, 1), (30.0, 1)])
def test_a_call_is_over_within_its_time_however_long_keys_take(takes_s: float, sent: int) -> None:
    """Whoever calls may send only for so long (P-10): what is sent late could land on another owner's write."""

    async def slowly() -> None:
        script = Scripted(refusal("ExpiredTokenException"), ok(), boottime_s=VirtualClock().boottime_s)
        replace = script.keys.refresh

        async def refresh(refused: Credentials) -> None:
            await asyncio.sleep(takes_s)
            await replace(refused)

        script.keys.refresh = refresh  # type: ignore[method-assign]
        if sent == 1:
            with pytest.raises(CredentialsExpired):
                await script.call()
        else:
            await script.call()
        assert len(script.sent) == sent
        assert max(script.timeouts) == 5.0
        if sent == 2:
            assert min(script.timeouts) == pytest.approx(5.0 - takes_s)

    run_virtual(slowly())


@pytest.mark.parametrize("sleeps", ["while it waits for the answer", "while the keys are renewed"])
@pytest.mark.parametrize("asleep_s,sent", [(1.0, 2), (4.99, 1), (3600.0, 1)])
async def test_time_counts_while_the_machine_sleeps(sleeps: str, asleep_s: float, sent: int) -> None:
    """The loop's own time stands still then; a repetition would leave long after its caller may send."""
    slept_s = 0.0

    def expired(request: Request) -> Response:
        nonlocal slept_s
        slept_s += asleep_s if sleeps == "while it waits for the answer" else 0.0
        return refusal("ExpiredTokenException")(request)

    script = Scripted(expired, ok(), boottime_s=lambda: 1000.0 + slept_s)
    replace = script.keys.refresh

    async def refresh(refused: Credentials) -> None:
        nonlocal slept_s
        slept_s += asleep_s if sleeps == "while the keys are renewed" else 0.0
        await replace(refused)

    script.keys.refresh = refresh  # type: ignore[method-assign]
    if sent == 1:
        with pytest.raises(CredentialsExpired):
            await script.call()
    else:
        await script.call()
        assert min(script.timeouts) == 5.0 - asleep_s
    assert len(script.sent) == sent


async def test_keys_that_stay_expired_are_an_error() -> None:
    script = Scripted(refusal("ExpiredTokenException"), refusal("ExpiredTokenException"), ok())
    with pytest.raises(CredentialsExpired, match="renew the credentials of the source"):
        await script.call()
    assert len(script.sent) == 2


@pytest.mark.parametrize("off_s", [-3600, 7 * 86_400])
async def test_a_clock_that_is_off_is_corrected_once_and_stays_so(off_s: int, caplog: pytest.LogCaptureFixture) -> None:
    service_now_s = LOCAL_NOW_S - off_s
    script = Scripted(
        refusal("InvalidSignatureException", "Signature expired: ...", date=formatdate(service_now_s, usegmt=True)),
        ok(),
        ok(),
    )
    with caplog.at_level(logging.WARNING, "dynamirror.aws"):
        await script.call()
        await script.call()
    assert len(script.sent) == 3
    assert script.clock.now_s() == service_now_s
    stamp = script.sent[1].headers["X-Amz-Date"]
    assert stamp == script.sent[2].headers["X-Amz-Date"] != script.sent[0].headers["X-Amz-Date"]
    assert [record.__dict__["event"] for record in caplog.records] == ["clock-corrected"]
    assert f"off by {off_s} s" in caplog.text


async def test_a_clock_that_cannot_be_corrected_is_named_with_its_offset() -> None:
    late = refusal("RequestTimeTooSkewed", date=formatdate(LOCAL_NOW_S + 900, usegmt=True))
    script = Scripted(late, late, ok())
    with pytest.raises(ClockOff, match=r"check this machine's clock.* off by -900 s"):
        await script.call()
    assert len(script.sent) == 2


async def test_without_a_date_there_is_nothing_to_correct_by() -> None:
    for headers in ({}, {"date": "yesterday"}):
        script = Scripted(refusal("RequestTimeTooSkewed", **headers), ok())
        with pytest.raises(ClockOff):
            await script.call()
        assert len(script.sent) == 1


async def test_clock_and_keys_may_both_need_their_cure() -> None:
    script = Scripted(
        refusal("RequestTimeTooSkewed", date=formatdate(LOCAL_NOW_S + 900, usegmt=True)),
        refusal("ExpiredTokenException"),
        ok(),
    )
    await script.call()
    assert len(script.sent) == 3
