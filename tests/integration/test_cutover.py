"""`cutover` beside a real `replicate`: writers stopped at random points, the stream drained exactly, tables equal."""

import json
import random
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dynamirror.model.cutover_report import digest_of
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal, new_access_key
from tests.support.items import random_item, whole_table
from tests.support.verify_pair import VerifyPair

WRITERS = 3
# Tells the writers to stop and waits until they have.
STOP = "touch stop; while [ ! -e stopped ]; do sleep 0.02; done"


class Writers:
    """Puts, updates and deletes until the hook's file is there."""

    def __init__(self, pair: VerifyPair, seed: int) -> None:
        self._pair = pair
        self._seed = seed
        self._stop = threading.Event()
        self.count = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(WRITERS + 1) as pool:
            jobs = [pool.submit(self._write, number) for number in range(WRITERS)]
            watching = pool.submit(self._watch, jobs)
            try:
                yield
            finally:
                self._stop.set()
            watching.result()
            self.count = sum(job.result() for job in jobs)

    def _watch(self, jobs: list[Any]) -> None:
        while not self._stop.wait(0.01):
            if (self._pair.folder / "stop").exists():
                self._stop.set()
        for job in jobs:
            job.result()
        (self._pair.folder / "stopped").touch()

    def _write(self, number: int) -> int:
        rng = random.Random(f"{self._seed}/{number}")
        count = 0
        while not self._stop.is_set():
            key = {"pk": {"S": f"item {rng.randrange(60)}"}}
            if rng.random() < 0.2:
                self._pair.source.delete_item(TableName="Orders", Key=key)
            else:
                self._pair.source.put_item(TableName="Orders", Item=key | random_item(rng) | {"by": {"N": str(count)}})
            count += 1
            time.sleep(rng.random() * 0.02)
        return count


def cutover(pair: VerifyPair, name: str, *flags: str, timeout_s: float = 120) -> tuple[int, str]:
    """Run to its end; exit code and output."""
    with pair.command(name, "cutover", "--report", str(pair.folder / "report.json"), *flags) as command:
        return command.process.wait(timeout_s), command.output


@contextmanager
def replicating(pair: VerifyPair, *flags: str) -> Iterator[Command]:
    with pair.command("replicate", "replicate", *flags) as command:
        pair.source.put_item(TableName="Orders", Item={"pk": {"S": "probe"}})
        wait_until(lambda: "Item" in pair.destination.get_item(TableName="Copy", Key={"pk": {"S": "probe"}}), 60)
        yield command


def one_round(local: DynamoDBLocal, folder: Path, seed: int) -> int:
    """Returns how many changes were made."""
    folder.mkdir(exist_ok=True)
    pair = VerifyPair(local, new_access_key(), folder, items=100, small=True)
    writers = Writers(pair, seed)
    hook = f"cd '{folder}' && {STOP}"
    with replicating(pair) as worker, writers.running():
        time.sleep(random.Random(seed).random() * 2)
        code, output = cutover(pair, "cutover", "--disable-stream", "--hook-before", hook)
        assert code == 0, output
        assert "The drain is exact" in output
        # All is applied, and nothing comes any more: the worker ends by itself.
        assert worker.process.wait(60) == 3
    report = json.loads((folder / "report.json").read_text())
    assert report["digest"] == digest_of(report)
    assert report["drain"]["exact"]
    assert all(shard["checkpoint"] == "SHARD_END" and shard["last_sequence"] for shard in report["drain"]["shards"])
    assert report["verify"]["differing"] == 0
    assert 0 < report["verify"]["keys"] <= 61
    assert [step["step"] for step in report["steps"]] == ["look", "lag", "writers", "switch", "drain", "verify"]
    assert whole_table(pair.source, "Orders") == whole_table(pair.destination, "Copy")
    return writers.count


@pytest.mark.parametrize("seed", range(3))
def test_writers_are_moved_with_an_exact_drain(dynamodb_local: DynamoDBLocal, tmp_path: Path, seed: int) -> None:
    assert one_round(dynamodb_local, tmp_path, seed) > 20


@pytest.mark.timeout(300)
def test_ended_in_the_drain_with_its_worker_dead_it_is_begun_again(
    dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path
) -> None:
    """1 the worker freezes as the writers stop; 2 the stream is off; 3 Ctrl-C; 4 the worker dies; 5 another begins."""
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=100, small=True)
    with replicating(pair, "--stray-life", "5s") as worker, Writers(pair, 1).running():
        time.sleep(1)
        hook = f"cd '{tmp_path}' && kill -STOP {worker.process.pid} && sleep 0.5 && {STOP}"
        with pair.command("first", "cutover", "--disable-stream", "--hook-before", hook) as first:
            wait_until(lambda: "drain: to the end of every shard" in first.output, 60, first)
            first.process.send_signal(signal.SIGINT)
            assert first.process.wait(30) == 130
        assert "the same command goes on" in first.output
        worker.kill()
    assert whole_table(pair.source, "Orders") != whole_table(pair.destination, "Copy")
    with pair.command("second", "replicate", "--stray-life", "5s") as second:
        wait_until(lambda: "not applied to its end" in second.output, 30, second)
        code, output = cutover(pair, "again", "--writers-stopped")
        assert code == 0, output
        assert second.process.wait(60) == 3
    assert "The drain is exact" in output
    assert whole_table(pair.source, "Orders") == whole_table(pair.destination, "Copy")
    # Once more, when nobody works any more: the same findings.
    assert cutover(pair, "after", "--writers-stopped", "--verify", "full")[0] == 0


@pytest.mark.timeout(300)
def test_the_way_back(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=100, small=True)
    with replicating(pair):
        code, output = cutover(pair, "dry", "--dry-run", "--prepare-reverse", "--disable-stream")
        assert code == 0, output
        assert "switch the destination's stream on" in output
        assert not (tmp_path / "report.json").exists()
        described: Any = pair.destination.describe_table(TableName="Copy")["Table"]
        assert "StreamSpecification" not in described
        code, output = cutover(pair, "run", "--disable-stream", "--writers-stopped", "--prepare-reverse")
        assert code == 0, output
    report = json.loads((tmp_path / "report.json").read_text())
    words = shlex.split(report["reverse"]["command"])
    assert words[0] == "dynamirror"
    pair.destination.put_item(TableName="Copy", Item={"pk": {"S": "after the switch"}})
    with Command(words[1:], tmp_path / "reverse", bare_environ(access_key)) as back:
        key = {"pk": {"S": "after the switch"}}
        wait_until(lambda: "Item" in pair.source.get_item(TableName="Orders", Key=key), 60, back)


@pytest.mark.timeout(120)
def test_an_open_stream_is_not_proven(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=100, small=True)
    with replicating(pair) as worker:
        hooks = ("--hook-before", "true", "--hook-after", f"touch '{tmp_path}/called'")
        code, output = cutover(pair, "run", "--quiet", "3s", "--json", "--log-level", "ERROR", *hooks)
        assert code == 0, output
        worker.alive()
    report = json.loads(output)
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["drain"]["proof"] == "not proven: the stream is still open"
    assert report["verify"]["keys"] == 1
    assert (tmp_path / "called").exists()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_rounds(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> None:
    changes = [one_round(dynamodb_local, tmp_path / f"round{seed}", seed) for seed in range(100, 150)]
    print(f"50 rounds, {sum(changes):,} changes, each drain exact and each pair of tables equal")
    sys.stdout.flush()
