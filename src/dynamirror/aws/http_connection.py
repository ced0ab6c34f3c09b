"""One connection: opened (directly or through a proxy), used for one exchange after another, aborted on any doubt.

What happens to an exchange is told by four outcomes, which `aws/http` turns into errors: an answer, Lost (after
the request was sent), NotHttp, or cancellation from outside. Whatever fails before the request is sent is an
OSError of the dial.
"""

import asyncio
import select
import socket
import ssl
import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import SplitResult, unquote

from dynamirror.aws.endpoints import host_of
from dynamirror.aws.http_wire import NotHttp, Response, ResponseReader, lines_of, request_bytes

# How long one address of several may take before the next is tried.
_ADDRESS_S = 1.0
# Aborting with a linger of zero makes the kernel drop what it has not sent yet instead of delivering it late.
_NO_LINGER = struct.pack("ii", 1, 0)
_DEFAULT_PORT = {"http": 80, "https": 443}


class Lost(Exception):
    """The connection ended before the answer was complete."""


class ProxyRefused(OSError):
    """The proxy did not open the tunnel."""


class Connection(asyncio.Protocol):
    """An open connection; `lost` is called once when it is gone."""

    def __init__(self, on_lost: Callable[["Connection"], None]) -> None:
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._look: select.poll | None = None
        self.reader = ResponseReader()
        self.idle_since_s = 0.0
        # Something came before anything was asked: an HTTP server does not do that on a new connection.
        self.spoke_first = False

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once closed."""
        return self._transport

    @property
    def usable(self) -> bool:
        """Open, as far as is known here, and the last answer allows another request."""
        return self._transport is not None and not self._transport.is_closing()

    def quiet(self) -> bool:
        """Nothing has arrived while it rested: not even the end, which the loop may not have seen yet."""
        if self._look is None:
            sock = self._transport.get_extra_info("socket") if self._transport is not None else None
            if sock is None or sock.fileno() < 0:
                return False
            self._look = select.poll()
            self._look.register(sock.fileno(), select.POLLIN)
        # Of one that was closed, the number may be another's by now.
        return self.usable and not self._look.poll(0)

    def exchange(self, request: bytes) -> "asyncio.Future[Response]":
        """Send; the future is the outcome (Lost, NotHttp). Whoever stops waiting for it calls `abort`."""
        assert self._transport is not None
        assert self._answer is None
        self.reader.reset()
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return answer

    def abort(self) -> None:
        """Close at once; what has not been sent is dropped, also by the kernel."""
        transport, self._transport = self._transport, None
        self._answer = None
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()

    def close(self) -> None:
        """Close in good order; nothing is under way."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def rewrap(self, transport: asyncio.Transport) -> None:
        """Go on over `transport`: TLS has been laid over the old one."""
        self._transport = transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            # Nobody asked: the connection is of no use any more.
            self.spoke_first = True
            self.abort()
            return
        try:
            response = self.reader.feed(data)
        except NotHttp as failure:
            self._settle(failure)
            self.abort()
            return
        if response is not None:
            assert self._transport is not None
            unsent = self._transport.get_write_buffer_size() > 0
            if unsent and response.status == 200:
                # Nobody can have carried out what has not come yet: this was said to somebody else.
                self._settle(Lost("success was answered before the request was sent"))
            else:
                self._settle(response)
            if unsent:
                # The rest must not be taken for another request.
                self.abort()
            elif not self.reader.stays_open and not self.reader.bodiless:
                self.close()

    def eof_received(self) -> bool:
        response = self.reader.end() if self._answer is not None else None
        if response is not None:
            self._settle(response)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._settle(Lost(reason_of(exc)) if exc is not None else Lost("closed by the other side"))
        self._on_lost(self)

    def _settle(self, outcome: Response | Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if isinstance(outcome, Response):
            answer.set_result(outcome)
        else:
            answer.set_exception(outcome)


@dataclass(frozen=True, slots=True)
class Route:
    """How an endpoint is reached: its URL, the proxy if any, and what the sockets need."""

    url: SplitResult
    # Not shown: it may hold a password.
    proxy: SplitResult | None = field(repr=False)
    tls: ssl.SSLContext
    # The kernel gives a connection up after sent bytes were not acknowledged so long.
    unacknowledged_s: float

    @property
    def target(self) -> str:
        """The request target; a proxy of plain HTTP wants the whole URL."""
        path = self.url.path or "/"
        if self.proxy is not None and self.url.scheme == "http":
            return f"http://{self.url.netloc}{path}"
        return path

    def __str__(self) -> str:
        if self.proxy is None:
            return self.url.geturl()
        return f"{self.url.geturl()} through the proxy {self.proxy.scheme}://{host_of(self.proxy.geturl())}"

    @property
    def proxy_authorization(self) -> dict[str, str]:
        """The header for a proxy whose URL holds a user name."""
        if self.proxy is None or self.proxy.username is None:
            return {}
        pair = f"{unquote(self.proxy.username)}:{unquote(self.proxy.password or '')}"
        return {"Proxy-Authorization": f"Basic {b64encode(pair.encode('utf-8', 'surrogateescape')).decode()}"}


async def dial(route: Route, on_lost: Callable[[Connection], None]) -> Connection:
    """Open a connection, TLS included. Raises OSError (ssl.SSLError, ProxyRefused) and NotHttp (the proxy's answer)."""
    if route.proxy is None:
        return await _open(route.url, route, on_lost)
    connection = await _open(route.proxy, route, on_lost)
    if route.url.scheme == "https":
        try:
            await _tunnel(connection, route)
        except BaseException:
            connection.abort()
            raise
    return connection


async def _open(to: SplitResult, route: Route, on_lost: Callable[[Connection], None]) -> Connection:
    loop = asyncio.get_running_loop()
    host, port = _address(to)
    sock = await _connect(host, port, route.unacknowledged_s)
    secure = to.scheme == "https"
    try:
        _, connection = await loop.create_connection(
            lambda: Connection(on_lost),
            sock=sock,
            ssl=route.tls if secure else None,
            server_hostname=host if secure else None,
        )
    except BaseException:
        sock.close()
        raise
    return connection


async def _connect(host: str, port: int, unacknowledged_s: float) -> socket.socket:
    """A connected socket: the addresses of the name one after another, each but the last with a time limit."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in addresses[:-1]:
        try:
            async with asyncio.timeout(_ADDRESS_S):
                return await _connect_one(family, kind, protocol, address, unacknowledged_s)
        except OSError:  # TimeoutError is one
            continue
    family, kind, protocol, _, address = addresses[-1]
    return await _connect_one(family, kind, protocol, address, unacknowledged_s)


async def _connect_one(
    family: int, kind: int, protocol: int, address: tuple[object, ...], unacknowledged_s: float
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Linux has the option, macOS does not.
        user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
        if user_timeout is not None:
            sock.setsockopt(socket.IPPROTO_TCP, user_timeout, int(unacknowledged_s * 1000))
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _tunnel(connection: Connection, route: Route) -> None:
    """Ask the proxy for a tunnel (CONNECT), then lay TLS over it."""
    host, port = _address(route.url)
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection.reader.bodiless = True
    headers = {"Host": authority, **route.proxy_authorization}
    try:
        answer = await connection.exchange(request_bytes("CONNECT", authority, lines_of(headers)))
    except Lost as failure:
        raise ProxyRefused(f"the proxy closed the connection: {failure}") from failure
    if answer.status != 200:
        raise ProxyRefused(f"the proxy answered {answer.status}")
    connection.reader.bodiless = False
    loop = asyncio.get_running_loop()
    assert connection.transport is not None
    transport = await loop.start_tls(connection.transport, connection, route.tls, server_hostname=host)
    if transport is None:
        raise ProxyRefused("the proxy closed the connection")
    connection.rewrap(transport)


def _address(parts: SplitResult) -> tuple[str, int]:
    return parts.hostname or "", parts.port or _DEFAULT_PORT[parts.scheme]


def reason_of(failure: BaseException) -> str:
    """The operating system's words for an error, where it has any."""
    return getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
