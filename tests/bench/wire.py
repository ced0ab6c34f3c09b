"""One connection of a client: requests off it, answers onto it, whole or broken."""

import asyncio
import socket
import struct
from http import HTTPStatus

from tests.bench.answers import Answer
from tests.support.aws_servers import Seen, read_request

# A client that neither closes nor times out does not hold us for ever.
HANG_S_MAX = 120.0
_DRIPS = 20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Gone(Exception):
    """The connection has ended, by either side."""


class Wire:
    """An HTTP/1.1 connection as its server has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> Seen:
        """The next request. Raises Gone when there is none."""
        try:
            return await read_request(self._reader)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Gone from error

    async def send(self, answer: Answer) -> None:
        """The whole answer. Raises Gone."""
        await self._write(_head(answer) + answer.body)

    async def drip(self, answer: Answer, over_s: float) -> None:
        """The answer in small pieces that take `over_s` together. Raises Gone when the client has enough of it."""
        data = _head(answer) + answer.body
        step = max(1, -(-len(data) // _DRIPS))
        for at in range(0, len(data), step):
            await self._write(data[at : at + step])
            await asyncio.sleep(over_s / _DRIPS)

    async def truncate(self, answer: Answer) -> None:
        """Announce the whole body, send half of it, close. Raises Gone."""
        await self._write(_head(answer) + answer.body[: len(answer.body) // 2])
        self._writer.close()
        raise Gone

    async def hang(self) -> None:
        """Say nothing until the client closes. Raises Gone."""
        try:
            async with asyncio.timeout(HANG_S_MAX):
                while await self._reader.read(65536):
                    pass
        except (OSError, TimeoutError) as error:
            raise Gone from error
        raise Gone

    def reset(self) -> None:
        """Answer with a TCP reset. Raises Gone."""
        if self._writer.is_closing():
            # The client was faster.
            raise Gone
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._writer.transport.abort()
        raise Gone

    async def _write(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise Gone
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Gone from error


def _head(answer: Answer) -> bytes:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    lines = "\r\n".join(f"{name}: {value}" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n{lines}\r\n\r\n".encode("latin-1")
