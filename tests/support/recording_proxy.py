"""An endpoint before DynamoDB Local that notes who asked for what, and can refuse or rewrite credentials."""

import http.client
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
DENIED = (
    b'{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User: arn:aws:iam::123456789012:user/u is'
    b' not authorized to perform: dynamodb:DescribeTable on resource: arn:aws:dynamodb:us-east-1:1:table/Orders"}'
)
EXPIRED = b'{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token is expired"}'


@dataclass(frozen=True)
class Seen:
    """One request: the operation (`DynamoDB_20120810.DescribeTable`), and what it was signed with."""

    target: str
    access_key: str
    region: str

    @property
    def api(self) -> str:
        """The API's name without its date."""
        return self.target.partition("_")[0]


class RecordingProxy:
    """`with RecordingProxy(local.url) as proxy:` serves on `proxy.url` and keeps what it saw in `proxy.seen`.

    `key_of` maps the access key of a request to the one DynamoDB Local is given (its database), or None: then the
    answer is `refusal`.
    """

    def __init__(
        self, upstream: str, key_of: Callable[[str], str | None] = lambda key: key, refusal: bytes = EXPIRED
    ) -> None:
        self.seen: list[Seen] = []
        handler = _handler(upstream, key_of, refusal, self.seen)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def regions(self, api: str) -> set[str]:
        """The Regions that requests of one API were signed for."""
        return {seen.region for seen in self.seen if seen.api == api}

    def operations(self) -> set[str]:
        """The names of the operations seen, without their API."""
        return {seen.target.partition(".")[2] for seen in self.seen}


def _handler(
    upstream: str, key_of: Callable[[str], str | None], refusal: bytes, seen: list[Seen]
) -> type[BaseHTTPRequestHandler]:
    address = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            authorization = self.headers["Authorization"]
            scope = SCOPE.search(authorization)
            assert scope is not None, authorization
            seen.append(Seen(self.headers["X-Amz-Target"], scope["key"], scope["region"]))
            key = key_of(scope["key"])
            if key is None:
                self._answer(400, refusal)
                return
            headers = dict(self.headers.items())
            headers["Authorization"] = authorization.replace(scope["key"], key, 1)
            status, answer = self._forward(headers, body)
            self._answer(status, answer)

        def setup(self) -> None:
            super().setup()
            # Reconnects by itself after the other side has closed it.
            self._upstream = http.client.HTTPConnection(address, timeout=30)

        def finish(self) -> None:
            self._upstream.close()
            super().finish()

        def _forward(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
            try:
                self._upstream.request("POST", "/", body, headers)
                response = self._upstream.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):
                self._upstream.close()
                self._upstream.request("POST", "/", body, headers)
                response = self._upstream.getresponse()
            return response.status, response.read()

        def _answer(self, status: int, body: bytes) -> None:
            # A command that is being killed does not wait for its answers.
            with suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    return Handler
