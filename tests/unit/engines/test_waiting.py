"""A start that waits says what for, and does not wait for ever."""

import asyncio
import logging

import pytest

from dynamirror.engines import waiting
from dynamirror.engines.attempts import patiently
from dynamirror.engines.waiting import ControlAloud, Question, answered
from dynamirror.errors import ExitCode, Side, Throttled, Unanswered
from tests.support.accounts import KEY, Account, Time

QUESTION = Question(Side.SOURCE, "http://mute:1/", "DescribeTable of A")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SAY_EVERY_S", 0.05)
    monkeypatch.setattr(waiting, "ANSWER_WITHIN_S", 0.2)


async def test_silence_is_said_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with caplog.at_level(logging.WARNING, "dynamirror"), pytest.raises(Unanswered) as caught:
        await answered(QUESTION, never())
    assert ended.is_set()
    assert len(caplog.records) == 3
    assert "still waiting (source at http://mute:1/: DescribeTable of A)" in caplog.messages[0]
    assert caught.value.exit_code == ExitCode.SOURCE
    assert "no answer for 0.2 s (source at http://mute:1/: DescribeTable of A); check the endpoint" in str(caught.value)


async def test_who_gives_up_takes_the_request_along() -> None:
    ended = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await answered(QUESTION, never())
    assert ended.is_set()


async def test_an_answer_and_a_refusal_pass_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    account = Account(Side.SOURCE, "us-east-1:1", "http://east")
    account.add("A", KEY)
    control = ControlAloud(account, Side.SOURCE, account.url)
    assert (await control.describe_table("A")).schema == KEY
    assert await control.encryption("A") is None
    assert (await control.create_table("B", KEY)).status == "ACTIVE"
    assert (await control.enable_stream("A")).stream_arn == "stream of A"
    assert not caplog.records


async def test_each_new_attempt_says_why(caplog: pytest.LogCaptureFixture) -> None:
    async def throttled() -> None:
        raise Throttled(Side.STATE, "not now")

    with caplog.at_level(logging.WARNING, "dynamirror"), pytest.raises(Throttled):
        await patiently(Time(), "GetItem of x", throttled)
    assert caplog.messages == ["trying again (GetItem of x): not now"] * 4
