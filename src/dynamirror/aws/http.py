"""One signed POST after another over kept connections.

Called by `aws/service` once an attempt. Nothing is retried here, and every failure says which of two it was:
Unreachable (nothing was sent) or Unanswered (it may have been applied, or may still be).
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from dynamirror import __version__
from dynamirror.aws.http_connection import Connection, Lost, Route, dial, reason_of
from dynamirror.aws.http_deadlines import Deadlines
from dynamirror.aws.http_wire import NotHttp, Request, Response, lines_of, request_bytes
from dynamirror.aws.proxies import Proxies
from dynamirror.errors import Refused, Side, Stop, Unanswered, Unreachable
from dynamirror.loops.turns import Turns

__all__ = ["HttpPool", "Request", "Response", "Transport", "tls_context"]

# Idle connections are given up before a server would close them: a request that meets the server's own
# close is unanswered, which costs its keys a long wait.
_KEEP_ALIVE_S = 4.0
_TLS_ADVICE = "check the endpoint; for a certificate authority of your own set AWS_CA_BUNDLE"
# What OpenSSL says of an answer in plain text, by version.
_NO_TLS_THERE = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_CHECK_ROUTE = "check the endpoint, the Region, the network and HTTPS_PROXY"

# The second argument is the total time-out in seconds. Raises Unreachable, Unanswered, Stop.
Transport: TypeAlias = Callable[[Request, float], Awaitable[Response]]


def _loop_s() -> float:
    return asyncio.get_running_loop().time()


class _Lane:
    """The connections to one endpoint. Only bookkeeping: what must be closed is closed by the pool."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.target = route.target
        more = route.proxy_authorization if route.url.scheme == "http" else {}
        self.lines = lines_of({"User-Agent": f"dynamirror/{__version__}", "Accept-Encoding": "identity", **more})
        # Longest idle first. The last is used first, so that spare ones grow old and are closed.
        self.idle: deque[Connection] = deque()

    def take(self, now_s: float) -> Connection | None:
        """An idle connection that may be used."""
        while self.idle:
            connection = self.idle.pop()
            # What has come meanwhile, the end included, would be taken for the answer to the next request.
            if now_s - connection.idle_since_s < _KEEP_ALIVE_S and connection.quiet():
                return connection
            connection.close()
        return None

    def give_back(self, connection: Connection, now_s: float) -> None:
        """Keep a connection whose answer came whole, and let the old ones go."""
        if connection.usable:
            connection.idle_since_s = now_s
            self.idle.append(connection)
        while self.idle and now_s - self.idle[0].idle_since_s >= _KEEP_ALIVE_S:
            self.idle.popleft().close()

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        if connection in self.idle:
            self.idle.remove(connection)


class HttpPool:
    """The connections of one side. `async with` closes them; `send` is a Transport."""

    def __init__(
        self,
        side: Side,
        environ: Mapping[str, str],
        tls: ssl.SSLContext,
        *,
        connections_max: int = 64,
        unacknowledged_s: float = 5.0,
        boottime_s: Callable[[], float] = _loop_s,
    ) -> None:
        """`unacknowledged_s`: the kernel gives a connection up after sent bytes were not acknowledged so long.
        `boottime_s` as in ports.Clock; the loop's own time stands still while the machine sleeps.
        """
        self._side = side
        self._proxies = Proxies(environ)
        self._tls = tls
        self._unacknowledged_s = unacknowledged_s
        self._now_s = boottime_s
        self._turns = Turns(connections_max)
        self._deadlines = Deadlines()
        self._lanes: dict[str, _Lane] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self._lanes.values():
            while lane.idle:
                lane.idle.pop().close()
        # The transports close in the next turn of the loop.
        await asyncio.sleep(0)

    async def send(self, request: Request, timeout_s: float) -> Response:
        """One attempt; `timeout_s` covers it all, the wait for a free connection included."""
        lane = self._lanes.get(request.url) or self._lane(request.url)
        try:
            raw = request_bytes("POST", lane.target, lines_of(request.headers) + lane.lines, request.body)
        except ValueError as failure:
            raise Refused(f"a request to {lane.route} cannot be sent: {failure}; check the credentials") from failure
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        begin_until_s = self._now_s() + timeout_s
        await self._take_turn(lane, deadline_s)
        try:
            connection = lane.take(self._now_s()) or await self._dial(lane, deadline_s)
            self._check(connection, lane.route, begin_until_s)
            return await self._exchange(lane, connection, raw, deadline_s)
        finally:
            self._turns.give_back()

    async def _take_turn(self, lane: _Lane, deadline_s: float) -> None:
        if self._turns.free:
            await self._turns.take()
            return
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._turns.take()
        except TimeoutError as failure:
            raise Unreachable(self._side, f"no free connection to {lane.route} in time") from failure

    def _check(self, connection: Connection, route: Route, begin_until_s: float) -> None:
        """Whether a request may be sent over it now."""
        if not connection.usable:
            if connection.spoke_first:
                raise self._not_http(route)
            raise Unreachable(self._side, f"{route} closed the connection before anything was sent")
        if self._now_s() >= begin_until_s:
            connection.close()
            raise Unreachable(self._side, f"a request to {route} was not sent in time; did this machine sleep?")

    async def _exchange(self, lane: _Lane, connection: Connection, raw: bytes, deadline_s: float) -> Response:
        answer = connection.exchange(raw)
        self._deadlines.watch(answer, deadline_s)
        try:
            response = await answer
        except BaseException as failure:
            # Cancellation too: whoever gave up must not be surprised by bytes that leave later.
            connection.abort()
            raise self._outcome(failure, lane.route) from failure
        finally:
            self._deadlines.let_go(answer)
        lane.give_back(connection, self._now_s())
        return response

    def _outcome(self, failure: BaseException, route: Route) -> BaseException:
        """Why there is no answer to a request that was sent."""
        match failure:
            case TimeoutError():
                return Unanswered(self._side, f"no complete answer from {route} in time")
            case Lost():
                return Unanswered(self._side, f"the connection to {route} was lost before the answer: {failure}")
            case NotHttp():
                return self._not_http(route)
            case _:
                return failure

    async def _dial(self, lane: _Lane, deadline_s: float) -> Connection:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await dial(lane.route, lane.forget)
        except TimeoutError as failure:
            raise Unreachable(self._side, f"could not connect to {lane.route} in time; {_CHECK_ROUTE}") from failure
        except ssl.SSLError as failure:
            advice = _TLS_ADVICE
            if failure.reason in _NO_TLS_THERE:
                advice = "what answers there does not speak TLS; if it is plain HTTP, write http:// before the host"
            message = f"no TLS connection to {lane.route}: {reason_of(failure)}; {advice}"
            raise Unreachable(self._side, message) from failure
        except NotHttp as failure:
            raise self._not_http(lane.route) from failure
        except OSError as failure:
            message = f"could not connect to {lane.route}: {reason_of(failure)}; {_CHECK_ROUTE}"
            raise Unreachable(self._side, message) from failure

    def _not_http(self, route: Route) -> Stop:
        return Stop(self._side, f"{route} answered, but not in HTTP; check host, port and scheme of the endpoint")

    def _lane(self, url: str) -> _Lane:
        """Made once a URL, of which there are as many as endpoints. Raises Refused (a proxy that cannot be used)."""
        parts = urlsplit(url)
        route = Route(parts, self._proxies.of(url), self._tls, self._unacknowledged_s)
        lane = self._lanes[url] = _Lane(route)
        return lane


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Verifies against `ca_bundle` (a file or directory), else against botocore's own bundle. Raises Refused."""
    from botocore.httpsession import get_cert_path

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    place: str = ca_bundle or str(get_cert_path(True))
    try:
        if Path(place).is_dir():
            context.load_verify_locations(capath=place)
        else:
            context.load_verify_locations(cafile=place)
    except OSError as failure:  # ssl.SSLError is one
        raise Refused(
            f"the certificate bundle {place} cannot be used: {reason_of(failure)}; "
            "check AWS_CA_BUNDLE, or ca_bundle in the AWS configuration"
        ) from failure
    return context
