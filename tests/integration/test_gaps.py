"""Gaps over the wire: a task that nobody follows while its stream loses changes, with each policy."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.harness import REGION, Bench
from tests.bench.shards import ManyShards
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import table_request
from tests.support.items import whole_table


class Away:
    """A task that was followed, then left; meanwhile the stream has lost changes of every kind."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self._bench, self._folder = bench, folder
        self._runs = 0
        bench.direct.create_table(**table_request("Copy", {"pk": "S"}, None))
        self.stream: ManyShards = bench.many(2)
        self._lose()

    def words(self, *words: str) -> list[str]:
        url = self._bench.thread.url
        flags = ["--source-region", REGION, "--source-table", "Orders", "--source-endpoint", url]
        flags += ["--destination-region", REGION, "--destination-table", "Copy", "--destination-endpoint", url]
        return [*words, *flags]

    def replicate(self, policy: str) -> Command:
        self._runs += 1
        log = self._folder / f"run{self._runs}"
        return Command(
            self.words("replicate", "--on-gap", policy, "--stray-life", "5s"), log, bare_environ(self._bench.access_key)
        )

    def run(self, *words: str) -> int:
        """A command to its end."""
        return self._done(*words).returncode

    def json(self, word: str) -> Any:
        """What a command says with --json."""
        return json.loads(self._done(word, "--json").stdout)

    def _done(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "dynamirror", *self.words(*words)],
            env=bare_environ(self._bench.access_key),
            capture_output=True,
            timeout=120,
            check=False,
        )

    def differing(self) -> set[str]:
        """Keys at which the two tables differ."""
        here, there = (whole_table(self._bench.direct, name) for name in ("Orders", "Copy"))
        return {str(key) for key in here.keys() | there.keys() if here.get(key) != there.get(key)}

    def has(self, key: str) -> bool:
        got = self._bench.direct.get_item(TableName="Copy", Key={"pk": {"S": key}}, ConsistentRead=True)
        return "Item" in got

    def _lose(self) -> None:
        bench, stream = self._bench, self.stream
        names = [f"key{n}" for n in range(40)]
        bench.write(names, stream)
        with self.replicate("stop") as command:
            wait_until(lambda: not self.differing(), 60)
            assert command.terminate()[0] == 0
        bench.write([*names[:10], *(f"new{n}" for n in range(10))], stream)
        records = stream.counts["records"]
        for name in names[20:25]:
            bench.direct.delete_item(TableName="Orders", Key={"pk": {"S": name}})
        wait_until(lambda: stream.counts["records"] >= records + 5, 30)
        for shard_id in stream.open_shards():
            bench.thread.do(stream.trim, shard_id, keep=0)
        # Behind the gap there is something in one shard only: in the other the checkpoint stays where it is.
        bench.write(names[30:31], stream)
        assert len(self.differing()) == 26


@pytest.fixture
def away(bench: Bench, tmp_path: Path) -> Away:
    return Away(bench, tmp_path)


def test_by_default_a_gap_stops_the_worker_and_nothing_is_skipped(away: Away) -> None:
    pids = []
    for _ in range(2):
        with away.replicate("stop") as command:
            assert command.process.wait(timeout=60) == 6
            assert "gap in the stream" in command.output
            assert "--on-gap" in command.output
            pids.append(str(command.process.pid))
    assert len(away.differing()) >= 25
    # Its log may be on a machine that is gone: any other one can tell.
    status = away.json("status")
    assert (status["last_failure"]["exit_code"], status["last_failure"]["pid"]) == (6, pids[1])
    [said] = [line for line in status["warnings"] if f"process {pids[1]} on " in line]
    assert "exit code 6: gap in the stream: " in said
    assert "--on-gap continue" in said


def test_it_is_gone_on_behind_a_gap_that_stays_open_until_the_tables_are_compared(away: Away) -> None:
    with away.replicate("continue") as command:
        wait_until(lambda: len(away.differing()) == 25, 60)
        wait_until(lambda: "event=gap " in command.output, 60)
        assert command.terminate()[0] == 6
        assert "verify --repair" in command.output
    # Noted and passed, it is no gap that stops anybody; but it stays one.
    with away.replicate("stop") as command:
        wait_until(lambda: "event=started" in command.output, 60)
        assert command.terminate()[0] == 6
    assert away.run("verify", "--patience", "2s") == 1
    with away.replicate("continue") as command:
        wait_until(lambda: "event=started" in command.output, 60)
        assert command.terminate()[0] == 6
    assert away.run("verify", "--repair", "--patience", "2s") == 0
    assert not away.differing()
    with away.replicate("continue") as command:
        wait_until(lambda: "event=started" in command.output, 60)
        assert command.terminate()[0] == 0


def test_a_sample_closes_nothing(away: Away) -> None:
    with away.replicate("continue") as command:
        wait_until(lambda: len(away.differing()) == 25, 60)
        assert command.terminate()[0] == 6
    assert away.run("verify", "--repair", "--since", "10m", "--patience", "2s") in (0, 1)
    assert away.run("verify", "--repair", "--sample", "50%", "--patience", "2s") == 0
    with away.replicate("continue") as command:
        wait_until(lambda: "event=started" in command.output, 60)
        assert command.terminate()[0] == 6


def test_the_task_closes_a_gap_itself_where_it_is_asked_to(away: Away, bench: Bench) -> None:
    with away.replicate("reconcile") as command:
        wait_until(lambda: "event=gap_closed" in command.output, 150)
        assert not away.differing()
        bench.write(["last"], away.stream)
        wait_until(lambda: away.has("last"), 30)
        assert command.terminate()[0] == 0
