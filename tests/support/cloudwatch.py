"""CloudWatch for tests: MiniStack's, which computes statistics, and an endpoint that keeps what it was told, and can be
made to hang and to refuse. Both speak the protocol that botocore does (AWS JSON 1.0)."""

import gzip
import json
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import boto3

Series = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Told:
    """One metric under its dimensions: what all requests together said of it."""

    unit: str = ""
    count: float = 0.0
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")

    def see(self, unit: str, values: Sequence[float]) -> None:
        """A statistic set: count, sum, least, most."""
        assert self.unit in ("", unit)
        self.unit = unit
        self.count += values[0]
        self.total += values[1]
        self.least, self.most = min(self.least, values[2]), max(self.most, values[3])


def told_to_ministack(url: str, region: str, namespace: str, name: str, dimensions: Mapping[str, str]) -> Told:
    """What MiniStack's CloudWatch computes of one metric under exactly these dimensions, an hour back and ahead."""
    client: Any = boto3.client(
        "cloudwatch", region, endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test"
    )
    now = datetime.now(UTC)
    answer = client.get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=60,
        Statistics=["SampleCount", "Sum", "Minimum", "Maximum"],
    )
    told = Told()
    for point in answer["Datapoints"]:
        told.see(point["Unit"], [point[name] for name in ("SampleCount", "Sum", "Minimum", "Maximum")])
    return told


@dataclass
class State:
    """What the endpoint has seen, and what it does."""

    requests: int = 0
    sizes: list[int] = field(default_factory=list)
    namespaces: set[str] = field(default_factory=set)
    credentials: list[str] = field(default_factory=list)
    told: dict[Series, Told] = field(default_factory=lambda: defaultdict(Told))
    # Name of the error, HTTP status; None: it takes what it is told.
    refusal: tuple[str, int] | None = None
    # Set: it answers.
    answers: threading.Event = field(default_factory=threading.Event)


class CloudWatchServer:
    """`with CloudWatchServer() as cloudwatch:` serves on `cloudwatch.url`."""

    def __init__(self) -> None:
        self.state = State()
        self.state.answers.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.state))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state.answers.set()
        self._server.shutdown()
        self._server.server_close()

    def told(self, name: str, **dimensions: str) -> Told:
        """What was said of one metric under exactly these dimensions."""
        return self.state.told.get((name, tuple(sorted(dimensions.items()))), Told())


def _handler(state: State) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.headers["X-Amz-Target"].endswith(".PutMetricData")
            state.requests += 1
            state.credentials.append(self.headers["Authorization"])
            state.answers.wait()
            if state.refusal is not None:
                name, status = state.refusal
                self._answer(status, json.dumps({"__type": name, "message": "no"}).encode())
                return
            _take(state, json.loads(body))
            self._answer(200, b"{}")

        def _answer(self, status: int, body: bytes) -> None:
            with suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    return Handler


def _take(state: State, request: Mapping[str, Any]) -> None:
    state.namespaces.add(request["Namespace"])
    state.sizes.append(len(request["MetricData"]))
    for datum in request["MetricData"]:
        dimensions = tuple(sorted((one["Name"], one["Value"]) for one in datum["Dimensions"]))
        values = datum["StatisticValues"]
        names = ("SampleCount", "Sum", "Minimum", "Maximum")
        state.told[datum["MetricName"], dimensions].see(datum["Unit"], [values[name] for name in names])
