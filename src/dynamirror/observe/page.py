"""What a worker shows over HTTP: /metrics for Prometheus, /healthz for whoever restarts it. Reads only."""

import json
from collections.abc import Callable, Iterable, Sequence
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from dynamirror.model.health import PROBLEMS_MAX, Problem

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# None: it has not begun to follow yet.
Health = Callable[[], Sequence[Problem] | None]


class Figures(Protocol):
    """Whose figures are shown."""

    registry: CollectorRegistry


class _Quiet(WSGIRequestHandler):
    # Seconds for one request; a client that says nothing keeps no thread for longer.
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """A line for each request would flood the log."""


class _Server(ThreadingWSGIServer):
    address_family = AF_INET

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no event; what fails in the application, wsgiref reports by itself."""


class _Server6(_Server):
    address_family = AF_INET6


def page_server(host: str, port: int, registry: CollectorRegistry, health: Health) -> WSGIServer:
    """Bound, and not serving yet. Raises OSError."""
    kind = _Server6 if ":" in host else _Server
    return make_server(host, port, application(registry, health), kind, _Quiet)


def application(registry: CollectorRegistry, health: Health) -> "WSGIApplication":
    """The two pages."""
    metrics = make_wsgi_app(registry)

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            page: Iterable[bytes] = metrics(environ, start)
            return page
        if path != "/healthz":
            return _answer(start, "404 Not Found", {"pages": ["/metrics", "/healthz"]})
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return _answer(start, "405 Method Not Allowed", {"methods": ["GET", "HEAD"]})
        found = health()
        if found:
            problems = [{"shard": one.shard_id or None, "why": one.why} for one in found[:PROBLEMS_MAX]]
            said = {"status": "unhealthy", "problems": problems, "count": len(found)}
            return _answer(start, "503 Service Unavailable", said)
        return _answer(start, "200 OK", {"status": "starting" if found is None else "healthy"})

    return answer


def _answer(start: "StartResponse", status: str, said: object) -> list[bytes]:
    body = json.dumps(said).encode() + b"\n"
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
