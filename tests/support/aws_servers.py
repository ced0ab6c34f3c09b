"""Small servers that answer by script: what a client meets when the other side is slow, wrong or gone."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from zlib import crc32

# Request line, headers by lower-case name, body.
Seen = tuple[str, dict[str, str], bytes]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes = b"{}", status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    """A complete HTTP answer with its checksum."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body)}",
        f"X-Amz-Crc32: {crc32(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read_request(reader: asyncio.StreamReader) -> Seen:
    """Raises IncompleteReadError when the client is gone."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:] if line}
    return head[0], headers, await reader.readexactly(int(headers.get("content-length", "0")))


class Server:
    """What a server saw."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.requests: list[Seen] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run `handler` for each connection on a free port of 127.0.0.1."""
    server = Server()

    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def answering(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Answer request after request, on whatever connection, with `answers` in turn; the last one stays."""
    seen: list[Seen] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            seen.append(request)
            writer.write(answers[min(len(seen), len(answers)) - 1])
            await writer.drain()

    async with serving(handler, tls) as server:
        server.requests = seen
        yield server


@asynccontextmanager
async def proxying(
    authorization: str | None = None, verdict: str = "200 Connection established"
) -> AsyncIterator[Server]:
    """A proxy that opens tunnels to 127.0.0.1, whatever host is asked for, on the port asked for."""
    seen: list[Seen] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        seen.append(request)
        line, headers, _ = request
        if not verdict.startswith("200") or headers.get("proxy-authorization") != authorization:
            writer.write(
                f"HTTP/1.1 {verdict if authorization is None else '407 No'}\r\nContent-Length: 0\r\n\r\n".encode()
            )
            return
        port = int(line.split()[1].rpartition(":")[2])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"HTTP/1.1 {verdict}\r\n\r\n".encode())
        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)
        finally:
            far_writer.close()
            await far_writer.wait_closed()

    async with serving(handler) as server:
        server.requests = seen
        yield server
