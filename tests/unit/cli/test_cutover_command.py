"""The command line of `cutover`: what it refuses before it asks anything, the question, and the page."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from dynamirror.cli import cutover, cutover_page, main
from dynamirror.engines.cutover_options import CutoverResult
from dynamirror.errors import ExitCode

PAIR = ["--source-region", "us-east-1", "--source-table", "Orders"]
PAIR += ["--destination-region", "eu-west-1", "--destination-table", "Copy"]
STOPPED = ["--writers-stopped"]


@pytest.mark.parametrize(
    "words,line",
    [
        ([], "this is no terminal; give --hook-before COMMAND, or --writers-stopped"),
        (["--hook-before", " "], "--hook-before is empty"),
        ([*STOPPED, "--hook-after", ""], "--hook-after is empty"),
        ([*STOPPED, "--hook-before", "x"], "--hook-before and --writers-stopped exclude each other"),
        ([*STOPPED, "--disable-stream", "--quiet", "10s"], "--quiet and --disable-stream exclude each other"),
        ([*STOPPED, "--verify", "full", "--since", "1h"], "--since and --verify full exclude each other"),
        ([*STOPPED, "--verify", "all"], "'all' is not one of"),
        ([*STOPPED, "--since", "25h"], "--since 90000s: must be 1s to 86400s"),
        ([*STOPPED, "--max-lag", "5"], "--max-lag 5: not a duration"),
        ([*STOPPED, "--max-lag", "0.1s"], "--max-lag 0.1s: must be 0.5s to 3600s"),
        ([*STOPPED, "--timeout", "0s"], "--timeout 0s: must be 1s"),
        ([*STOPPED, "--report", "none/x.json"], "there is no directory"),
        ([*STOPPED, "--report", "."], "is a directory"),
        ([*STOPPED, "--copy"], "no such flag: --copy"),
    ],
)
def test_refusals(
    words: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main.main(["cutover", *PAIR, *words]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("typed,yes", [("yes\n", True), ("NO\n", False), ("well\nyes\n", True), ("", False)])
def test_the_question_is_asked_until_it_is_yes_or_no(typed: str, yes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert cutover._ask("continue?") is yes


DOCUMENT: dict[str, Any] = {
    "source": {"region": "us-east-1", "table": "Orders"},
    "destination": {"region": "eu-west-1", "table": "Copy"},
    "steps": [{"step": "lag", "began": "2026-01-31T12:00:00Z", "took_ms": 1500, "result": "0.5 s"}],
    "ended": "2026-01-31T12:01:00Z",
    "drain": {"exact": True, "proof": "p", "shards": [{"id": "s1", "last_sequence": "9"}]},
    "verify": {"mode": "recent", "keys": 1200, "differing": 0, "first": []},
    "reverse": None,
    "digest": "abc",
}


def page(**other: Any) -> list[str]:
    return cutover_page.as_text(CutoverResult(DOCUMENT | other, Path("r.json"), ExitCode.OK)).splitlines()


def test_the_page() -> None:
    assert page() == [
        "us-east-1/Orders -> eu-west-1/Copy: cut-over, 2026-01-31T12:01:00Z",
        "  lag      2026-01-31T12:00:00Z      1.5 s  0.5 s",
        "  s1 ends at 9",
        "  report r.json, SHA-256 abc",
        "The drain is exact; 1,200 keys changed lately compared, none differs.",
    ]


def test_the_last_line_says_what_is_not_proven_or_differs() -> None:
    still_open = {"exact": False, "proof": "not proven: the stream is still open", "shards": []}
    verify = {
        "mode": "full",
        "keys": 5,
        "differing": 2,
        "first": [{"class": "missing", "key": {"pk": {"S": "x"}}, "path": ""}],
    }
    lines = page(drain=still_open, verify=verify)
    assert lines[-1].startswith("The drain is not proven: the stream is still open; 2 of 5 keys of both tables differ")
    assert lines[-1].endswith(": do not start the writers.")
    assert "  pk=x: missing" in lines
    assert page(verify={"mode": "none"})[-1] == "The drain is exact; nothing was compared."


def test_many_shards_are_in_the_report_only() -> None:
    shards = [{"id": f"s{number}", "last_sequence": None} for number in range(12)]
    lines = page(drain={"exact": True, "proof": "p", "shards": shards}, reverse={"command": "dynamirror replicate"})
    assert "  s9 ends at (open)" in lines
    assert "  ... 2 shards more in the report" in lines
    assert "    dynamirror replicate" in lines


def test_the_page_of_a_dry_run() -> None:
    lines = page(dry_run=True, would=["call the hook: x"])
    assert lines[0].endswith("fit for a cut-over; nothing was changed")
    assert lines[-1] == "    call the hook: x"


@pytest.mark.parametrize("parked,said", [(1, "1 item is"), (2, "2 items are")])
def test_what_is_parked_is_said(parked: int, said: str) -> None:
    lines = page(verify=DOCUMENT["verify"] | {"parked": parked})
    assert f"  {said} parked, the destination refuses them: dynamirror parked list" in lines
