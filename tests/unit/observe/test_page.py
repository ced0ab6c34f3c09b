"""The two pages, and nothing else."""

import json
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from dynamirror.model.health import PROBLEMS_MAX, Problem
from dynamirror.observe.metrics import Metrics
from dynamirror.observe.page import Health, application


def get(path: str, health: Health, method: str = "GET") -> tuple[str, dict[str, str], bytes]:
    sink = Metrics()
    sink.count("pages_read", 3)
    environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    told: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        told.extend((status, dict(headers)))

    body = b"".join(application(sink.registry, health)(environ, start))
    return told[0], told[1], body


def test_figures() -> None:
    status, headers, body = get("/metrics", list)
    assert status == "200 OK"
    assert headers["Content-Type"].startswith("text/plain")
    assert b"dynamirror_pages_read_total 3.0" in body
    assert b"dynamirror_lag_p50_seconds NaN" in body


@pytest.mark.parametrize("found,said", [(None, "starting"), ([], "healthy")])
def test_health(found: list[Problem] | None, said: str) -> None:
    status, _, body = get("/healthz", lambda: found)
    assert (status, json.loads(body)) == ("200 OK", {"status": said})


def test_what_ails_it_is_named_and_bounded() -> None:
    found = [Problem("", "the lease table"), *(Problem(f"s{n}", "stuck") for n in range(99))]
    status, _, body = get("/healthz", lambda: found)
    said = json.loads(body)
    assert status == "503 Service Unavailable"
    assert (said["status"], said["count"], len(said["problems"])) == ("unhealthy", 100, PROBLEMS_MAX)
    assert said["problems"][:2] == [{"shard": None, "why": "the lease table"}, {"shard": "s0", "why": "stuck"}]


def test_other_pages_and_ways_are_refused() -> None:
    assert get("/", list)[0].startswith("404")
    assert get("/healthz", list, "POST")[0].startswith("405")
    assert get("/metrics", list, "POST")[0].startswith("405")
