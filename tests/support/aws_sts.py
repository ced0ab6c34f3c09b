"""A fake STS: AssumeRole over HTTP, with keys that it counts and that live as long as told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import parse_qs

from tests.support.aws_servers import read_request, serving

_GIVEN = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>{arn}</Arn><AssumedRoleId>A:b</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{expires}</Expiration></Credentials></AssumeRoleResult>
<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>"""
_REFUSED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>not for you</Message></Error><RequestId>r</RequestId></ErrorResponse>"""


class FakeSts:
    """What it gave, and the form fields and authorizations it was asked with."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, str]] = []
        self.authorizations: list[str] = []
        # Seconds since the epoch by access key.
        self.expires_at: dict[str, float] = {}
        # An error code to answer with instead.
        self.refusal: str | None = None
        # A page to answer with instead, as a proxy would.
        self.page: str | None = None

    def answer(self, now_s: float, life_s: float) -> tuple[str, str]:
        """Status line and XML of the next answer."""
        if self.page is not None:
            return "200 OK", self.page
        if self.refusal is not None:
            return "403 Forbidden", _REFUSED.format(code=self.refusal)
        key = f"AKIDEXAMPLE{len(self.expires_at)}"
        self.expires_at[key] = now_s + life_s
        expires = datetime.fromtimestamp(now_s + life_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return "200 OK", _GIVEN.format(arn=self.asked[-1].get("RoleArn"), key=key, expires=expires)


@asynccontextmanager
async def sts(now_s: Callable[[], float], life_s: float) -> AsyncIterator[FakeSts]:
    """Serve on 127.0.0.1; `now_s` is the clock that expiries are stamped with."""
    fake = FakeSts()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, headers, body = await read_request(reader)
            fake.asked.append({name: values[0] for name, values in parse_qs(body.decode()).items()})
            fake.authorizations.append(headers.get("authorization", ""))
            status, xml = fake.answer(now_s(), life_s)
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {len(xml)}\r\n\r\n"
            writer.write((head + xml).encode())

    async with serving(handler) as server:
        fake.url = server.url
        yield fake
