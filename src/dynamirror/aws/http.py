"""One signed POST after another over kept connections: the only place with sockets.

Called by `aws/service` once an attempt. Nothing is retried here, and every failure says which of two it was:
Unreachable (nothing was sent) or Unanswered (it may have been applied, or may still be).
"""

import socket
import ssl
import struct
from asyncio import BaseTransport
from asyncio import Transport as LoopTransport
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp
from aiohttp.connector import Connection

from dynamirror.errors import Refused, Side, Stop, Unanswered, Unreachable

# Idle connections are given up before a server would close them: a request that meets the server's own
# close is unanswered, which costs its keys a long wait.
_KEEP_ALIVE_S = 4.0
# Resolved names are kept this long; the service moves its addresses (60 s time to live and less).
_NAME_LIFE_S = 10
# Aborting with a linger of zero makes the kernel drop what it has not sent yet instead of delivering it late.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """A POST, complete: `headers` are sent as they are."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, whatever its status. `headers` are looked up by lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# The second argument is the total time-out in seconds. Raises Unreachable, Unanswered, Stop.
Transport: TypeAlias = Callable[[Request, float], Awaitable[Response]]


class HttpPool:
    """The connections of one side. `async with` opens and closes it; `send` is a Transport."""

    def __init__(
        self,
        side: Side,
        environ: Mapping[str, str],
        tls: ssl.SSLContext,
        *,
        connections_max: int = 64,
        unacknowledged_s: float = 5.0,
    ) -> None:
        """`unacknowledged_s`: the kernel gives a connection up after sent bytes were not acknowledged so long."""
        self._side = side
        self._proxies = _proxies(environ)
        self._tls = tls
        self._connections_max = connections_max
        self._socket = _socket_factory(unacknowledged_s)
        self._proxy_of: dict[str, str | None] = {}
        self._limits: dict[float, aiohttp.ClientTimeout] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=self._connections_max,
            ssl=self._tls,
            keepalive_timeout=_KEEP_ALIVE_S,
            ttl_dns_cache=_NAME_LIFE_S,
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=self._socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_Answer,
            auto_decompress=False,
            skip_auto_headers=("Accept", "Content-Type", "User-Agent"),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: Request, timeout_s: float) -> Response:
        """One attempt; `timeout_s` covers it all, the wait for a free connection included."""
        assert self._session is not None, "the pool is not open"
        url = request.url
        proxy = self._proxy_of[url] if url in self._proxy_of else self._choose_proxy(url)
        try:
            answer = await self._session.post(
                url,
                data=request.body,
                headers=request.headers,
                proxy=proxy,
                timeout=self._limits.get(timeout_s) or self._limit(timeout_s),
                allow_redirects=False,
            )
            return Response(answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, OSError) as failure:
            raise self._consequence(failure, url, proxy, timeout_s) from failure

    def _consequence(self, failure: Exception, url: str, proxy: str | None, timeout_s: float) -> Exception:
        where = url if proxy is None else f"{url} through the proxy {_without_password(proxy)}"
        match failure:
            case aiohttp.ClientHttpProxyError():
                why = f"the proxy answered {failure.status} {failure.message}"
                return Unreachable(self._side, f"could not connect to {where}: {why}; check HTTPS_PROXY and NO_PROXY")
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
                advice = "check the endpoint; for an own certificate authority set AWS_CA_BUNDLE"
                return Unreachable(self._side, f"no TLS connection to {where}: {_reason(failure)}; {advice}")
            case aiohttp.ClientConnectorError():
                return Unreachable(self._side, f"could not connect to {where}: {_reason(failure)}")
            case aiohttp.SocketTimeoutError():
                return Unanswered(self._side, f"no complete answer from {where} within {timeout_s:g} s")
            case TimeoutError():
                return Unreachable(self._side, f"no connection to {where} within {timeout_s:g} s")
            case aiohttp.ClientResponseError():
                advice = "check host, port and scheme of the endpoint"
                return Stop(self._side, f"{where} answered, but not in HTTP; {advice}")
            case aiohttp.InvalidURL():
                return Refused(f"{where} is not a URL that can be called")
            case _:
                return Unanswered(self._side, f"connection to {where} lost before the answer: {_reason(failure)}")

    def _choose_proxy(self, url: str) -> str | None:
        """Decided once a URL, of which there are as many as endpoints."""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if proxy and proxy_bypass_environment(parts.netloc, self._proxies):
            proxy = None
        self._proxy_of[url] = proxy
        return proxy

    def _limit(self, timeout_s: float) -> aiohttp.ClientTimeout:
        # aiohttp rounds long time-outs up to whole seconds unless told otherwise; the rules of doubt count on T.
        limit = aiohttp.ClientTimeout(total=timeout_s, ceil_threshold=timeout_s)
        self._limits[timeout_s] = limit
        return limit


class _Answer(aiohttp.ClientResponse):
    """From its start on, the request may have reached the service: time-outs are marked as such,
    and a connection whose answer did not come whole is aborted, unsent bytes included."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        transport = connection.transport
        try:
            return await super().start(connection)
        except TimeoutError as failure:
            _abort(transport)
            raise aiohttp.SocketTimeoutError from failure
        except BaseException:
            _abort(transport)
            raise

    async def read(self) -> bytes:
        # None when the whole answer came with its head: the connection has gone back to the pool.
        connection = self.connection
        transport = connection and connection.transport
        try:
            return await super().read()
        except TimeoutError as failure:
            _abort(transport)
            raise aiohttp.SocketTimeoutError from failure
        except BaseException:
            _abort(transport)
            raise


def _abort(transport: BaseTransport | None) -> None:
    if not isinstance(transport, LoopTransport):
        return
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def _socket_factory(unacknowledged_s: float) -> Callable[[Any], socket.socket]:
    # Linux has the option, macOS does not.
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)

    def make(address: Any) -> socket.socket:
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if user_timeout is not None:
            made.setsockopt(socket.IPPROTO_TCP, user_timeout, int(unacknowledged_s * 1000))
        return made

    return make


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Proxies by scheme, as urllib reads them: lower-case names win, `no` holds the exceptions."""
    found = {}
    for lower in (False, True):
        for name, value in environ.items():
            if name[-6:].lower() != "_proxy" or (name.islower() is not lower):
                continue
            found[name[:-6].lower()] = value.strip()
    # A CGI script's HTTP_PROXY is set by the request's sender (CVE-2016-1000110).
    if "REQUEST_METHOD" in environ:
        found.pop("http", None)
    return {
        scheme: value if scheme == "no" or "://" in value else f"http://{value}"
        for scheme, value in found.items()
        if value
    }


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Verifies against `ca_bundle` (a file or directory), else against botocore's own bundle. Raises Refused."""
    from botocore.httpsession import get_cert_path

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    place: str = ca_bundle or str(get_cert_path(True))
    try:
        context.load_verify_locations(cafile=place)
    except IsADirectoryError:
        context.load_verify_locations(capath=place)
    except (OSError, ssl.SSLError) as failure:
        raise Refused(
            f"the certificate bundle {place} cannot be used: {_reason(failure)}; "
            "check AWS_CA_BUNDLE, or ca_bundle in the AWS configuration"
        ) from failure
    return context


def _reason(failure: BaseException) -> str:
    """The innermost useful words of an error: the operating system's, where it has any."""
    inner = getattr(failure, "os_error", None) or getattr(failure, "certificate_error", None) or failure
    text = getattr(inner, "strerror", None) or str(inner)
    return text or type(inner).__name__


def _without_password(proxy: str) -> str:
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
