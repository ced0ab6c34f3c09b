"""`dynamirror copy`: a table at rest, without a stream, by two workers; what ends it, and what its rerun says."""

import json
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest

from tests.support.command import Command, bare_environ, wait_until
from tests.support.copy_pair import LEASES, CopyPair
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import whole_table
from tests.support.terminal import OnTerminal, screen_of

ITEMS = 5_000


class Pair(CopyPair):
    """Copied by `copy`."""

    def copy_flags(self, command: str = "copy") -> list[str]:
        # The shortest that is taken: the end of a copy lasts 10 s longer.
        return self.flags(command, "--stray-life", "5s")

    def command(self, name: str, *more: str) -> Command:
        return self.started(name, [*self.copy_flags(), *more])

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        """To its end."""
        return subprocess.run(
            [sys.executable, "-m", "dynamirror", *self.copy_flags(), *more],
            env=bare_environ(self.access_key),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def copied(self) -> int:
        return sum(int(row["written"]["N"]) for row in self.rows("at-rest-segment"))

    def owners(self) -> set[str]:
        return {row["worker"]["S"] for row in self.rows("at-rest-segment") if "worker" in row and row["after"]["S"]}


@pytest.fixture
def pair(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Pair:
    return Pair(dynamodb_local, access_key, tmp_path, ITEMS)


@pytest.fixture
def small(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Pair:
    return Pair(dynamodb_local, access_key, tmp_path, 300)


@pytest.mark.timeout(240)
def test_two_workers_one_of_which_is_killed_copy_a_table_without_a_stream(pair: Pair) -> None:
    with pair.command("first", "--segments", "16") as first:
        wait_until(lambda: pair.copied() > 0, 60, first)
        first.kill()
        copied = pair.copied()
        assert copied < ITEMS
        with pair.command("second") as second:
            first.__enter__()
            ends = [(command.process.wait(120), command) for command in (first, second)]
    for code, command in ends:
        assert code == 0, command.output
        assert f"the copy is over: {ITEMS:,} items" in command.output
        assert "more until nothing that was sent can land any more" in command.output
    assert whole_table(pair.destination, "Copy") == whole_table(pair.source, "Orders")
    assert "StreamSpecification" not in pair.source.describe_table(TableName="Orders")["Table"]
    assert LEASES not in pair.source.list_tables()["TableNames"]
    # Nobody is left, and each item was counted once.
    assert len(pair.rows("at-rest-worker")) <= 1, "but for the one that was killed"
    assert pair.copied() == ITEMS


@pytest.mark.timeout(240)
def test_a_copy_that_is_over_is_told_by_its_rerun_and_nothing_is_written(small: Pair) -> None:
    small.destination.delete_table(TableName="Copy")
    small.source.update_time_to_live(
        TableName="Orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    done = small.run("--json", "--create-destination")
    assert done.returncode == 0, done.stderr
    lives = small.destination.describe_time_to_live(TableName="Copy")["TimeToLiveDescription"]
    assert lives["TimeToLiveStatus"] in ("ENABLED", "ENABLING"), "finished before the command ends"
    told = json.loads(done.stdout)
    assert (told["over"], told["items"], told["read"], told["parked"]) == (True, 300, 300, 0)
    assert not told["over_before"]
    assert told["command_seconds"] > told["seconds"] + 5, "what was sent last is waited for"
    small.destination.put_item(TableName="Copy", Item={"pk": {"S": "item 7"}, "newer": {"BOOL": True}})
    again = small.run("--json")
    assert again.returncode == 0
    assert (
        f"the copy of this task is over since {told['over_since']}: 300 items; give another --task-name" in again.stderr
    )
    assert json.loads(again.stdout) == told | {"over_before": True, "command_seconds": ANY}
    item = small.destination.get_item(TableName="Copy", Key={"pk": {"S": "item 7"}})["Item"]
    assert item["newer"] == {"BOOL": True}
    # Another name is another copy, into a table with items: only where that is allowed.
    tables = small.source.list_tables()["TableNames"]
    other = small.run("--task-name", "other")
    assert other.returncode == 4
    assert "--allow-non-empty" in other.stderr
    assert small.source.list_tables()["TableNames"] == tables, "nothing is made for a start that is refused"


@pytest.mark.timeout(120)
def test_a_destination_that_was_made_anew_meanwhile_is_not_said_to_have_all(small: Pair) -> None:
    """The watch looks once a minute: between two looks the copy may begin to write into another table, and end."""
    with small.command("first", "--segments", "1", "--max-write-rate", "60") as first:
        wait_until(lambda: small.copied() > 0, 60, first)
        now = small.destination.describe_table(TableName="Copy")["Table"]
        small.destination.delete_table(TableName="Copy")
        small.destination.create_table(
            TableName="Copy",
            KeySchema=now["KeySchema"],
            AttributeDefinitions=now["AttributeDefinitions"],
            BillingMode="PAY_PER_REQUEST",
        )
        assert small.copied() < 300
        assert first.process.wait(90) == 4, first.output
    # Where it was written to in the moment between, it is only gone.
    assert "was deleted and made anew under this worker" in first.output or "non-existent table" in first.output
    assert whole_table(small.destination, "Copy") != whole_table(small.source, "Orders")


def test_a_copy_that_is_stopped_says_how_it_goes_on(small: Pair) -> None:
    with small.command("stopped") as command:
        wait_until(lambda: small.copied() == 300, 60, command)
        wait_until(lambda: "more until nothing" in command.output, 60, command)
        code, took_s = command.terminate()
    assert code == 1
    assert took_s < 5
    assert (
        "stopped: all 300 items are written, but what was sent last may still land; the same command" in command.output
    )
    assert small.rows("at-rest-worker") == []


def test_beside_a_task_that_is_followed_nothing_is_copied(small: Pair) -> None:
    """And neither the following task's rows nor those of a copy are taken for the other's."""
    follow = [*small.copy_flags("replicate"), "--enable-stream"]
    with Command(follow, small.folder / "follow", bare_environ(small.access_key)) as following:
        wait_until(lambda: "event=lease_taken" in following.output, 60, following)
        refused = small.run()
        assert refused.returncode == 2
        assert "this task is followed (worker " in refused.stderr
        assert "replicate --copy" in refused.stderr
        assert whole_table(small.destination, "Copy") == {}
        assert following.terminate()[0] == 0
    with small.command("after") as command:
        wait_until(lambda: small.copied() == 300, 60, command)
    assert small.rows("copy") == small.rows("segment") == []


LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z (INFO|WARNING|ERROR) .* event=\w+.*")


def test_on_a_terminal_the_copy_has_a_live_line_below_whole_log_lines(small: Pair) -> None:
    # More than are copied between two looks, so that it is seen on the way.
    with OnTerminal([*small.copy_flags(), "--segments", "200"], bare_environ(small.access_key)) as command:
        assert command.ended(120) == 0
    assert "of 200 segments" in command.output
    assert "all 300 items are written, waiting until nothing can land any more" in command.output
    # What is left on the screen is the log, each line whole, and nothing of the live one.
    shown = [line.rstrip() for line in screen_of(command.output) if line.strip()]
    assert all(LOG_LINE.fullmatch(line) for line in shown), shown
    events = [line.partition(" event=")[2].partition(" ")[0] for line in shown]
    assert events[-3:] == ["copy_settling", "copy_phase", "copy_summary"]
    assert "copy_progress" not in events


@pytest.mark.long
@pytest.mark.timeout(120)
def test_beside_changes_the_live_line_has_their_lag(small: Pair) -> None:
    flags = [*small.copy_flags("replicate"), "--copy", "--enable-stream"]
    with OnTerminal(flags, bare_environ(small.access_key)) as command:
        wait_until(lambda: "copy announced, it begins in some seconds  lag -" in command.output, 60)
        wait_until(lambda: "all 300 items are written, changes wait a little longer  lag -" in command.output, 60)
        assert command.terminate() == 0
        assert command.ended(10) == 0
    shown = [line.rstrip() for line in screen_of(command.output) if line.strip()]
    assert all(LOG_LINE.fullmatch(line) for line in shown), shown
    assert "event=stopped" in shown[-1]


def test_a_terminal_that_is_to_be_plain_gets_plain_lines(small: Pair) -> None:
    environ = bare_environ(small.access_key)
    with OnTerminal([*small.copy_flags(), "--log-format", "json"], environ) as command:
        wait_until(lambda: "copy_settling" in command.output, 60)
        assert command.terminate() == 1
        assert command.ended(10) == 1
    assert "\x1b[" not in command.output
    assert "copy_progress" in command.output
