"""DynamoDB Local behind the bench: requests go on as they came, answers come back as they are."""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from dynamirror.aws.http import HttpPool, Request
from dynamirror.errors import Side
from tests.bench.answers import Answer
from tests.bench.call import Call

TIMEOUT_S = 60.0
# What belongs to a connection, not to a message, and what the pool writes itself.
_OF_THE_CONNECTION = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "keep-alive", "transfer-encoding", "user-agent"}
)


class Upstream:
    """`async with Upstream(url) as upstream:`; never repeats a request."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/"
        self._pool = HttpPool(Side.SOURCE, {}, ssl.create_default_context(), connections_max=256)

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, failure, trace)

    async def forward(self, call: Call, database: str, body: bytes | None = None) -> Answer:
        """Carry out `call` in the database of an access key, with another body if given.

        Raises Retry and Stop of dynamirror.errors when DynamoDB Local does not answer.
        """
        headers = {name: value for name, value in call.headers.items() if name not in _OF_THE_CONNECTION}
        headers["authorization"] = headers["authorization"].replace(f"={call.access_key}/", f"={database}/", 1)
        return await self._send(headers, call.body if body is None else body)

    async def ask(self, target: str, place: tuple[str, str], body: bytes) -> Answer:
        """A request of the bench's own: `target` as `DynamoDB_20120810.Scan`, `place` access key and Region.

        Raises as `forward`.
        """
        scope = f"{place[0]}/20260101/{place[1]}/dynamodb/aws4_request"
        headers = {
            "host": urlsplit(self._url).netloc,
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": target,
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none",
        }
        return await self._send(headers, body)

    async def _send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        got = await self._pool.send(Request(self._url, headers, body), TIMEOUT_S)
        kept = {name: value for name, value in got.headers.items() if name not in _OF_THE_CONNECTION}
        return Answer(got.status, got.body, kept)
