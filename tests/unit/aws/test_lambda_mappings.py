"""Which functions read a stream, by Lambda's own answer, signed as the source is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dynamirror.aws.lambda_mappings import LambdaMappings, mappings_of
from dynamirror.errors import AccessDenied, Stop
from dynamirror.settings.groups import SourceSettings
from tests.support.aws_servers import Server, answer, read_request, serving

SOURCE = SourceSettings("us-east-1", "Orders")
ARN = "arn:aws:dynamodb:us-east-1:1:table/Orders/stream/2026"
FUNCTION = "arn:aws:lambda:us-east-1:1:function:"


@asynccontextmanager
async def awslambda(monkeypatch: pytest.MonkeyPatch, *answers: bytes) -> AsyncIterator[Server]:
    """Answers in turn; the server keeps what it was asked."""
    left = list(answers)
    seen: list[Any] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await read_request(reader))
            writer.write(left.pop(0))

    async with serving(handler) as server:
        server.requests = seen
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield server


def page(*mappings: tuple[str, str], more: str | None = None) -> bytes:
    found = [{"FunctionArn": FUNCTION + name, "State": state} for name, state in mappings]
    return answer(json.dumps({"EventSourceMappings": found, **({"NextMarker": more} if more else {})}).encode())


async def test_all_pages_and_only_what_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    first = page(("audit:live", "Enabled"), ("old", "Disabled"), more="next")
    async with awslambda(monkeypatch, first, page(("index", "Creating"), ("index", "Enabled"))) as server:
        assert await LambdaMappings(SOURCE)(ARN) == ("audit:live", "index")
    lines = [line.split() for line, _, _ in server.requests]
    assert [method for method, _, _ in lines] == ["GET", "GET"]
    asked = [parse_qs(urlsplit(path).query) for _, path, _ in lines]
    assert asked == [{"EventSourceArn": [ARN]}, {"EventSourceArn": [ARN], "Marker": ["next"]}]
    assert "/us-east-1/lambda/aws4_request" in server.requests[0][1]["authorization"]


async def test_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = answer(b"{}", "403 Forbidden", ["x-amzn-ErrorType: AccessDeniedException"])
    async with awslambda(monkeypatch, denied):
        with pytest.raises(AccessDenied, match="allow lambda:ListEventSourceMappings"):
            await LambdaMappings(SOURCE)(ARN)


async def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async with awslambda(monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1/")
        with pytest.raises(Stop, match="EndpointConnectionError"):
            await LambdaMappings(SOURCE)(ARN)


def test_a_source_at_an_endpoint_of_its_own_is_not_asked_for() -> None:
    assert mappings_of(SOURCE) is not None
    assert mappings_of(SourceSettings("us-east-1", "Orders", "http://127.0.0.1:8000")) is None
