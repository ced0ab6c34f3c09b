"""The command line of `parked`: what it refuses before it asks anything, what it prints, what it ends with."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from dynamirror.cli import main, parked_page
from dynamirror.engines import launch, parked_run
from dynamirror.errors import ExitCode
from dynamirror.model.parked import Parked, version_of
from dynamirror.prove.parked import Fate, Tried
from dynamirror.settings.groups import ReplicationSettings

PAIR = ["--source-region", "us-east-1", "--source-table", "Orders"]
PAIR += ["--destination-region", "eu-west-1", "--destination-table", "Copy"]
ONE = Parked("abcd1234", {"id": {"S": "x"}}, version_of("17"), "ValidationException: too large", 0, "w1", 2, 412_000)
OF_COPY = Parked("ffff0000", {"id": {"S": "y"}}, version_of(""), "no", 1_700_000_000_000, "w1", 0, 0)
IMAGE = b'{"id":{"S":"x"},"n":{"N":"1E0"}}'


class Items:
    """What the engine would say."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.fate = Fate.SETTLED
        self.kept: list[Parked] = []

    async def all(self) -> list[Parked]:
        return [ONE, OF_COPY]

    async def image(self, wanted: str) -> tuple[Parked, bytes | None]:
        self.asked.append((wanted,))
        return ONE, IMAGE

    async def retry(self, wanted: Sequence[str]) -> list[Tried]:
        self.asked.append(tuple(wanted))
        return [Tried(ONE, self.fate, "still too large"), Tried(OF_COPY, Fate.SETTLED)]

    async def drop(self, wanted: Sequence[str]) -> tuple[list[Parked], list[Parked]]:
        self.asked.append(tuple(wanted))
        return [ONE], self.kept


@pytest.fixture
def items(monkeypatch: pytest.MonkeyPatch) -> Items:
    found = Items()

    def run(settings: ReplicationSettings, environ: Mapping[str, str], work: Any) -> Any:
        coroutine = work(found)
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("it waits")

    monkeypatch.setattr(parked_run, "run_parked", run)
    monkeypatch.setattr(launch, "set_up_task_logs", lambda *_, **__: None)
    return found


@pytest.mark.parametrize(
    "words,line",
    [
        (["show", *PAIR], "missing argument 'ID'"),
        (["drop", *PAIR], "parked drop needs the ids of the items, or --all"),
        (["drop", "abcd", "--all", "--yes", *PAIR], "parked drop needs the ids of the items, or --all"),
        (["drop", "abcd", *PAIR], "parked drop needs --yes where nobody can be asked"),
        (["list"], "missing: --source-region"),
        (["list", "--max-parked", "3", *PAIR], "no such flag: --max-parked"),
        (["throw"], "no such command"),
    ],
)
def test_refusals(words: list[str], line: str, items: Items, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["parked", *words]) == ExitCode.USAGE
    assert line in capsys.readouterr().err
    assert items.asked == []


def test_the_list(items: Items, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["parked", "list", *PAIR]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 items are parked, oldest first:",
        '  abcd1234  {"id":{"S":"x"}}  change 17  1970-01-01T00:00:00Z  412 kB',
        "    ValidationException: too large",
        '  ffff0000  {"id":{"S":"y"}}  of the copy  2023-11-14T22:13:20Z  0 kB',
        "    no",
    ]


def test_the_list_as_json(items: Items, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["parked", "list", "--json", *PAIR]) == 0
    first, second = json.loads(capsys.readouterr().out)["parked"]
    assert first == {
        "id": "abcd1234",
        "key": {"id": {"S": "x"}},
        "sequence_number": "17",
        "time": "1970-01-01T00:00:00Z",
        "error": "ValidationException: too large",
        "bytes": 412_000,
        "worker": "w1",
    }
    assert second["sequence_number"] is None


def test_nothing_is_parked() -> None:
    assert parked_page.list_text([]) == parked_page.retry_text([]) == "Nothing is parked."
    assert json.loads(parked_page.list_json([])) == {"parked": []}


def test_one_is_shown_with_its_image(items: Items, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["parked", "show", "abcd", *PAIR]) == 0
    shown = capsys.readouterr().out
    assert "too large" in shown
    assert '"N": "1E0"' in shown
    assert items.asked == [("abcd",)]
    assert main.main(["parked", "show", "abcd", "--json", *PAIR]) == 0
    assert json.loads(capsys.readouterr().out)["item"] == {"id": {"S": "x"}, "n": {"N": "1E0"}}


def test_one_without_an_image_says_why() -> None:
    assert "the change is a deletion" in parked_page.show_text((OF_COPY, None))
    assert "its image is no longer there" in parked_page.show_text((ONE, None))
    assert json.loads(parked_page.show_json((ONE, None)))["item"] is None


def test_all_are_tried_again(items: Items, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["parked", "retry", *PAIR]) == 0
    assert capsys.readouterr().out == "2 items are settled; the destination has them.\n"
    assert items.asked == [()]


@pytest.mark.parametrize(
    "fate,said",
    [
        (Fate.REFUSED, "the destination still refuses it: still too large"),
        (Fate.DIFFERS, "differs still"),
        (Fate.PARKED_ANEW, "a newer change of it was parked meanwhile"),
    ],
)
def test_what_is_left_is_told_and_the_exit_code_says_so(
    fate: Fate, said: str, items: Items, capsys: pytest.CaptureFixture[str]
) -> None:
    items.fate = fate
    assert main.main(["parked", "retry", "abcd", "ffff", *PAIR]) == ExitCode.PARKED
    out = capsys.readouterr().out
    assert said in out
    assert "1 item is settled, 1 left." in out
    assert items.asked == [("abcd", "ffff")]
    assert main.main(["parked", "retry", "--json", *PAIR]) == ExitCode.PARKED
    told = json.loads(capsys.readouterr().out)
    assert told["settled"] == ["ffff0000"]
    assert [(one["id"], one["outcome"], one["why"]) for one in told["remaining"]] == [
        ("abcd1234", fate.value, "still too large")
    ]


def test_what_is_dropped_is_said_with_what_that_means(items: Items, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["parked", "drop", "--all", "--yes", *PAIR]) == 0
    assert "1 item is forgotten, and may differ from the source" in capsys.readouterr().out
    items.kept = [OF_COPY]
    assert main.main(["parked", "drop", "abcd", "--yes", *PAIR]) == ExitCode.PARKED
    assert "1 item was parked anew meanwhile" in capsys.readouterr().out
    assert main.main(["parked", "drop", "abcd", "--yes", "--json", *PAIR]) == ExitCode.PARKED
    told = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in told["dropped"]] == ["abcd1234"]
    assert [one["id"] for one in told["parked_anew"]] == ["ffff0000"]


def test_a_signal_says_so_and_is_no_success(
    items: Items, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parked_run, "run_parked", lambda *_: None)
    for words in (["list"], ["show", "abcd"], ["retry"], ["drop", "--all", "--yes"]):
        assert main.main(["parked", *words, *PAIR]) == 130
        assert "ended before it was done" in capsys.readouterr().err
