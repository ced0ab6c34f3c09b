"""The command lines of status, pause, set-rate and reset: what they refuse, what they print."""

from dataclasses import replace

import pytest

from dynamirror.cli import main, status_page
from dynamirror.cli.orders_page import pause_text, rate_text, resume_text
from dynamirror.cli.reset import lost_text
from dynamirror.cli.status_json import status_json
from dynamirror.engines.give_orders import Given
from dynamirror.engines.status_run import refuse_other_pair
from dynamirror.errors import ExitCode, Refused
from dynamirror.model.copy import Copy, Phase, Segment
from dynamirror.model.failure import Failure
from dynamirror.model.gap import OpenGap
from dynamirror.model.lease import Lease, Terms
from dynamirror.model.orders import Orders, RateOrder
from dynamirror.model.rate import Limit
from dynamirror.model.shares import Demand, RateRow
from dynamirror.model.sighting import Sighting
from dynamirror.model.status import CopySeen, Seen, Status, Task, WorkerSeen, status_of
from tests.support.accounts import settings

PAIR = ["--source-region", "us-east-1", "--source-table", "Orders"]
PAIR += ["--destination-region", "eu-west-1", "--destination-table", "Copy"]
NOW_MS = 1_700_000_000_000
ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/Orders"
TASK = Task("leases", "state", ARN, "arn:aws:dynamodb:eu-west-1:111122223333:table/Copy", f"{ARN}/stream/L", True, 100)
LEASES = [
    Lease(f"shardId-0000000000000000000{n}-aaaaaaaa", "5", "host-17-abcdef012345", 7, applied_to_ms=NOW_MS - 1000 * n)
    for n in range(9)
]
ORDERS = Orders().pause(NOW_MS - 60_000, "ann@ops").rates(None, Limit(units_s=500), NOW_MS, "ann@ops")


def status(orders: Orders = ORDERS) -> Status:
    owner = Terms("host-17-abcdef012345", 10_000, heartbeat=True)
    figures = {"changesApplied": 1234, "lagP99Ms": 250, "paused": 1}
    seen = Seen(
        NOW_MS,
        100.0,
        TASK,
        [replace(row, terms=owner) for row in LEASES],
        workers=[WorkerSeen(owner.worker, 5, "host", "17", "0.1", "replicate", NOW_MS - 400, figures)],
        copies=[CopySeen(Copy(Phase.COPYING, 4, NOW_MS - 10_000, was_empty=True), [Segment(0, done=True, written=50)])],
        parked=3,
        gaps=[OpenGap("s", "5", "trimmed", NOW_MS, "w")],
        orders=orders,
        rates=[RateRow(owner.worker, 1, Demand(0.0, limited=False), Demand(12.0, limited=True))],
    )
    sighting = Sighting()
    sighting.see_beats({owner.worker: 4}, 98.0)
    sighting.see_beats({owner.worker: 5}, 100.0)
    return status_of(seen, sighting)


def test_the_page_has_it_all() -> None:
    page = status_page.page(status())
    for words in (
        "Orders (us-east-1) -> Copy (eu-west-1)",
        "PAUSED since 2023-11-14T22:12:20Z by ann@ops; resume before",
        "rates ordered: read as the workers' flags say, write 500 units/s",
        "1 alive",
        "replicate, paused",
        "1,234",
        "9 reading; furthest behind 8.0 s",
        "copying, 1 of 4 segments, 50 of about 100 items",
        "Parked   3",
        "open gap: trimmed",
        "12 write units/s, waits for its write limit",
    ):
        assert words in page, words
    assert max(map(len, page.splitlines()[:-3])) <= 130


def test_an_owner_is_named_as_in_the_list_of_workers() -> None:
    page = status_page.page(status())
    [worker] = [line for line in page.splitlines() if "replicate, paused" in line]
    shards = [line for line in page.splitlines() if "shardId-" in line and "reading" in line]
    assert worker.split()[:2] == ["host", "17"]
    assert len(shards) == 9
    assert all(line.split()[2:4] == ["host", "17"] for line in shards)
    assert "host 17 uses 0 read" in page


def test_a_page_fits_its_terminal() -> None:
    page = status_page.page(status(), lines_max=20)
    assert "and 6 more (--json has all)" in page
    assert page.count("shardId-") == 3


def test_the_document_has_units_in_its_names() -> None:
    found = status_json(status())
    assert (found["at_ms"], found["lag_max_ms"], found["parked_items"]) == (NOW_MS, 8000, 3)
    assert found["shards"][1] == {
        "shard": LEASES[1].shard_id,
        "state": "reading",
        "owner": "host-17-abcdef012345",
        "checkpoint": "5",
        "applied_to_ms": NOW_MS - 1000,
        "lag_ms": 1000,
        "unmoved_s": None,
    }
    assert found["orders"]["write_rate"] == "500"
    assert found["last_failure"] is None
    assert found["copies"][0]["segments_done"] == 1


def test_the_document_has_the_last_failure_however_old() -> None:
    before = status()
    seen = replace(before.seen, failure=Failure("w7", "h", "7", 5, 6, "trimmed"))
    assert status_json(replace(before, seen=seen))["last_failure"] == {
        "worker": "w7",
        "host": "h",
        "pid": "7",
        "at_ms": 5,
        "exit_code": 6,
        "why": "trimmed",
    }


def test_what_orders_say() -> None:
    before = Orders()
    given = Given(status(before), before, before.pause(NOW_MS, "ann@ops"))
    assert "Paused, since" in pause_text(given)
    assert "resume before 2023-11-15T22:13:12Z (24.0 h left), or changes are lost" in pause_text(given)
    again = Given(status(), given.now, given.now)
    assert "Paused already" in pause_text(again)
    assert "It is not paused" in resume_text(Given(status(before), before, before))
    resumed = Given(status(), given.now, given.now.resume(NOW_MS + 90_000, "bob"))
    assert resume_text(resumed).startswith("Resumed, after 2 min.")
    rates = Given(status(), before, before.rates(Limit(percent=50), RateOrder.NONE, 1, "a"))
    assert "read at most 50%, write without limit" in rate_text(rates)


def test_what_a_reset_loses() -> None:
    text = lost_text(status())
    assert "checkpoints         9" in text
    assert "copy                copying" in text
    assert "orders              paused, 2 given" in text


@pytest.mark.parametrize(
    "words,message",
    [
        (["set-rate", *PAIR], "set-rate needs --max-read-rate or --max-write-rate"),
        (["set-rate", *PAIR, "--max-write-rate", "fast"], "give units a second"),
        (["status", *PAIR, "--watch", "0"], "must be 1 to 3600"),
        (["status", *PAIR, "--watch", "x"], "not a valid float"),
        (["pause"], "missing: --source-region"),
    ],
)
def test_what_cannot_be_carried_out_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(words) == ExitCode.USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_another_pair_of_the_same_name_is_refused() -> None:
    refuse_other_pair(status(), settings(source_table="Orders", destination_table="Copy"))
    with pytest.raises(Refused, match="belongs to another pair"):
        refuse_other_pair(status(), settings(source_table="Orders", destination_table="Other"))
