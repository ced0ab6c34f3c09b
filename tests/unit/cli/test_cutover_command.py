"""The command line of `cutover`: what it refuses before it asks anything, the question, and the page."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dynamirror.cli import cutover, cutover_page, main
from dynamirror.engines.assemble_cutover import write_report
from dynamirror.engines.cutover_options import CutoverResult
from dynamirror.errors import ExitCode, Unmet

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
        (
            [*STOPPED, "--quiet", "20m"],
            "--quiet 1200s is not shorter than --timeout 600s, which would end the cut-over",
        ),
        ([*STOPPED, "--timeout", "30s"], "--quiet 30s is not shorter than --timeout 30s, which would end the cut-over"),
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
    "parked": [],
    "gaps": 0,
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
    assert page(verify={"mode": "none", "keys": 0, "differing": 0})[-1] == "The drain is exact; nothing was compared."


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


@pytest.mark.parametrize("parked,said", [(1, "1 item is"), (12, "12 items are")])
def test_what_is_parked_is_named(parked: int, said: str) -> None:
    items = [{"id": f"id{number}", "key": {"pk": {"S": "x"}}, "error": "too large"} for number in range(parked)]
    lines = page(parked=items)
    assert any(line.startswith(f"  {said} parked, the destination has refused") for line in lines)
    assert '    id0  {"pk":{"S":"x"}}  too large' in lines
    assert ("    ... 2 more in the report" in lines) is (parked == 12)
    assert lines[-1].endswith("none differs.")
    last = page(parked=items, verify={"mode": "none", "keys": 0, "differing": 0})[-1]
    assert last.startswith(f"The drain is exact; {parked} parked item")
    assert last.endswith("may be missing: do not start the writers.")


def test_what_was_never_seen_in_step_is_said() -> None:
    last = page(verify=DOCUMENT["verify"] | {"unsettled": 2})[-1]
    assert "2 were never seen in step, so something still writes: do not start" in last


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    # Not by the file's mode: tests may run as root.
    monkeypatch.setattr(os, "access", lambda place, _: place != tmp_path)
    monkeypatch.chdir(tmp_path)
    for words in ([], ["--report", str(tmp_path / "r.json")]):
        assert main.main(["cutover", *PAIR, *STOPPED, *words]) == ExitCode.USAGE
        assert f"{tmp_path} cannot be written; give --report FILE where it can" in capsys.readouterr().err


def test_one_that_can_no_longer_be_written_says_that_all_the_rest_is_done(tmp_path: Path) -> None:
    with pytest.raises(Unmet, match="everything before it is done") as error:
        write_report(tmp_path / "gone" / "r.json", "{}")
    assert error.value.exit_code is ExitCode.DIFFERS
