"""The command line of `verify`: what it refuses before it asks anything, and what it prints."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dynamirror.cli import main, verify_page
from dynamirror.cli.verify import FIELDS
from dynamirror.engines.verify_options import VerifyOptions, VerifyResult
from dynamirror.engines.verify_report import Report
from dynamirror.errors import ExitCode
from dynamirror.model.verify import Class, Found, Tally
from dynamirror.settings.flags import FLAG_OF_FIELD
from dynamirror.settings.parse import settings_from

PAIR = ["--source-region", "us-east-1", "--source-table", "Orders"]
PAIR += ["--destination-region", "eu-west-1", "--destination-table", "Copy"]
SETTINGS = settings_from(
    {
        "source_region": "us-east-1",
        "source_table": "Orders",
        "destination_region": "eu-west-1",
        "destination_table": "Copy",
    },
    java_form=False,
    now_ms=0,
)
FOUND = Found(Class.DIFFERENT, {"pk": {"S": "x"}}, "a.b")


@pytest.mark.parametrize(
    "words,line",
    [
        (["--sample", "1"], "--sample 1: give a share of the table as 1% or 0.5%"),
        (["--sample", "0%"], "--sample 0%: give a share"),
        (["--sample", "101%"], "at most 100%"),
        (["--since", "25h"], "--since 90000s: must be 1s to 86400s"),
        (["--since", "2"], "--since 2: not a duration"),
        (["--patience", "0.1s"], "--patience 0.1s: must be 1s to 3600s"),
        (["--since", "1h", "--sample", "1%"], "--since and --sample exclude each other"),
        (["--seed", "3"], "--seed needs --sample"),
        (["--copy"], "no such flag: --copy"),
        (["--report", "."], "is a directory"),
    ],
)
def test_refusals(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["verify", *PAIR, *words]) == ExitCode.USAGE
    assert line in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["verify", *PAIR, "--report", str(tmp_path / "none" / "x")]) == ExitCode.USAGE
    assert "give a file that can be written" in capsys.readouterr().err


def test_its_flags_are_of_the_table() -> None:
    assert set(FIELDS) <= set(FLAG_OF_FIELD)


def result(tally: Tally, remaining: int, share: float = 1.0) -> VerifyResult:
    return VerifyResult(tally, 1, remaining, (FOUND,) if tally.found else (), share, 7, 12.4, False)


def test_the_page_of_tables_that_differ() -> None:
    tally = Tally(source_items=1000, destination_items=999, suspects=20, missing=11, different=1)
    assert verify_page.as_text(SETTINGS, VerifyOptions(), result(tally, 12)).splitlines() == [
        "us-east-1/Orders -> eu-west-1/Copy: whole tables",
        "  1,000 items of the source, 999 of the destination",
        "  11 missing, 0 extra, 1 different, 20 keys looked at one by one, 12 s",
        "  pk=x: different at a.b",
        "  ... --report FILE has them all",
        "The tables differ: 12 keys.",
    ]


def test_items_that_are_parked_are_named_beside_the_verdict() -> None:
    tally = Tally(missing=3)
    for parked, line in ((1, "  1 item is parked"), (12, "  12 items are parked")):
        some = replace(result(tally, 3), parked=parked)
        lines = verify_page.as_text(SETTINGS, VerifyOptions(), some).splitlines()
        assert lines[-2] == f"{line}, the destination refuses them: dynamirror parked list"
        assert json.loads(verify_page.as_json(SETTINGS, VerifyOptions(), some))["parked"] == parked


@pytest.mark.parametrize(
    "tally,remaining,options,last",
    [
        (Tally(), 0, VerifyOptions(), "The tables are equal."),
        (Tally(missing=1, mended=1), 0, VerifyOptions(repair=True), "The tables were made equal."),
        (Tally(missing=2, mended=1), 1, VerifyOptions(repair=True), "The tables differ: 1 key not mended."),
        (Tally(), 0, VerifyOptions(share=0.01), "The tables are equal as far as was looked."),
        (Tally(expired=1), 0, VerifyOptions(since_s=60.0), "The tables are equal as far as was looked."),
    ],
)
def test_the_last_line(tally: Tally, remaining: int, options: VerifyOptions, last: str) -> None:
    page = verify_page.as_text(SETTINGS, options, result(tally, remaining))
    assert page.splitlines()[-1] == last


def test_the_document() -> None:
    document = json.loads(verify_page.as_json(SETTINGS, VerifyOptions(), result(Tally(different=1), 1)))
    assert (document["equal"], document["different"], document["remaining"]) == (False, 1, 1)
    assert document["first"] == [{"class": "different", "key": {"pk": {"S": "x"}}, "path": "a.b"}]
    assert document["sample"] is None
    assert (document["source_items"], document["destination_items"]) == (0, 0)


def test_where_only_keys_are_looked_at_the_items_of_the_tables_are_not_known() -> None:
    tally = Tally(suspects=4)
    document = json.loads(verify_page.as_json(SETTINGS, VerifyOptions(since_s=60.0), result(tally, 0)))
    assert (document["source_items"], document["destination_items"], document["suspects"]) == (None, None, 4)
    assert "4 keys looked at one by one" in verify_page.as_text(SETTINGS, VerifyOptions(since_s=60.0), result(tally, 0))


def test_the_report_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    for found in (FOUND, Found(Class.DIFFERENT, FOUND.key, FOUND.path, mended=True)):
        report = Report(path, lambda: 0.0)
        report(found)
        report.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [
        {"at": "1970-01-01T00:00:00+00:00", "class": "different", "key": {"pk": {"S": "x"}}, "path": "a.b"},
        {
            "at": "1970-01-01T00:00:00+00:00",
            "class": "different",
            "key": {"pk": {"S": "x"}},
            "path": "a.b",
            "mended": True,
        },
    ]
