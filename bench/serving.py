"""How a stand-in speaks HTTP: requests off a connection as they become complete, answers with what a client checks."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Any, TypeAlias, cast
from zlib import crc32

_CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

# Head and body of a request, and what takes the complete response.
Answer: TypeAlias = Callable[[bytes, bytes, Callable[[bytes], None]], None]


class Connection(asyncio.Protocol):
    """One kept connection; requests are answered as they become complete."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._parts: list[bytes] = []
        # Of a request that has come in part: bytes still to come; 0: not known.
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return
        buffer = data if len(self._parts) == 1 else b"".join(self._parts)
        self._missing = 0
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = buffer[: end + 2]
            length = _CONTENT_LENGTH.search(head)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(buffer) < stop:
                self._missing = stop - len(buffer)
                break
            self._answer(head, buffer[end + 4 : stop], self._send)
            buffer = buffer[stop:]
        self._parts = [buffer] if buffer else []

    def _send(self, response: bytes) -> None:
        # Who asked may have given up meanwhile.
        if not self._transport.is_closing():
            self._transport.write(response)


def json_body(value: Any) -> bytes:
    """As a body."""
    return json.dumps(value).encode()


def plain(body: bytes) -> bytes:
    """200 with this body."""
    return response(body, crc32(body))


def response(body: bytes, checksum: int, status: str = "200 OK") -> bytes:
    """A complete response; `checksum` is the body's CRC32."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.0\r\nx-amz-crc32: {checksum}\r\n"
        f"x-amzn-RequestId: BENCH\r\nDate: {_date(int(time.time()))}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@lru_cache(maxsize=2)
def _date(now_s: int) -> str:
    return formatdate(now_s, usegmt=True)


def error(kind: str, message: str) -> bytes:
    """400 with an error of the service."""
    body = json_body({"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message})
    return response(body, crc32(body), "400 Bad Request")
