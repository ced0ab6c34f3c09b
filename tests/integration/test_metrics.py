"""What a real worker tells of itself: to CloudWatch, to Prometheus, and to whoever asks whether it is healthy."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dynamirror.aws.loopback import free_port
from dynamirror.engines.embedded import ministack, started
from dynamirror.model.task_name import LEASE_TABLE_PREFIX
from tests.bench.faults import Kind
from tests.bench.signature import Credential
from tests.bench.thread import ProxyThread
from tests.support.cloudwatch import CloudWatchServer, Told, told_to_ministack
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal
from tests.support.pages import page_of

SOURCE, DESTINATION = "us-east-1", "eu-west-1"
CHANGES = 10_000


@dataclass
class Task:
    """A source, a destination, and the command between them, behind the fault proxy."""

    local: DynamoDBLocal
    access_key: str
    folder: Path
    proxy: ProxyThread

    def __post_init__(self) -> None:
        self.port = free_port()
        self.source_url = self.proxy.url
        self.source = self.local.client(self.access_key, SOURCE)
        self.destination = self.local.client(self.access_key, DESTINATION)
        self.local.create_table(self.access_key, "Orders", SOURCE)
        self.local.create_table(self.access_key, "Copy", DESTINATION, stream=None)

    def arguments(self, *more: str, java_form: bool = False) -> list[str]:
        flags = ["--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", self.source_url]
        flags += ["--destination-region", DESTINATION, "--destination-table", "Copy"]
        flags += ["--destination-endpoint", self.proxy.url]
        return [*([] if java_form else ["replicate"]), *flags, "--task-name", "told", *more]

    def command(self, *more: str, java_form: bool = False) -> Command:
        return Command(self.arguments(*more, java_form=java_form), self.folder / "log", bare_environ(self.access_key))

    @property
    def http(self) -> list[str]:
        return ["--http", f"127.0.0.1:{self.port}"]

    def write(self, begin: int, end: int) -> None:
        def some(first: int) -> None:
            requests = [
                {"PutRequest": {"Item": {"pk": {"S": f"k{n}"}, "n": {"N": str(n)}}}}
                for n in range(first, min(first + 25, end))
            ]
            left: Any = {"Orders": requests}
            while left:
                left = self.source.batch_write_item(RequestItems=left)["UnprocessedItems"]

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(some, range(begin, end, 25)))

    def arrived(self, key: str) -> bool:
        return "Item" in self.destination.get_item(TableName="Copy", Key={"pk": {"S": key}})

    def items(self) -> int:
        pages = self.destination.get_paginator("scan").paginate(TableName="Copy", Select="COUNT")
        return sum(page["Count"] for page in pages)

    def shards(self) -> set[str]:
        rows = self.source.scan(TableName=f"{LEASE_TABLE_PREFIX}told")["Items"]
        return {row["leaseKey"]["S"] for row in rows}

    def get(self, page: str) -> tuple[int, str]:
        return page_of(self.port, page, timeout_s=5)

    def status(self) -> str:
        code, body = self.get("/healthz")
        said = str(json.loads(body)["status"]) if code else "away"
        assert (code == 503) == (said == "unhealthy")
        return said

    def problems(self) -> list[dict[str, str]]:
        """Empty where no page came."""
        code, body = self.get("/healthz")
        return list(json.loads(body).get("problems", [])) if code else []

    def figures(self) -> dict[str, float]:
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


@pytest.fixture
def task(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Iterator[Task]:
    with ProxyThread(dynamodb_local.url, {access_key: Credential(SECRET_KEY)}) as proxy:
        yield Task(dynamodb_local, access_key, tmp_path, proxy)


@pytest.fixture
def cloudwatch() -> Iterator[CloudWatchServer]:
    with CloudWatchServer() as server:
        yield server


async def test_cloudwatch_and_prometheus_get_the_right_sums_for_ten_thousand_changes(task: Task) -> None:
    """CloudWatch is MiniStack's."""
    program = ministack()
    environ = {**program.environ, "SERVICES": "monitoring"}
    async with started(replace(program, environ=environ)) as cloudwatch:
        await asyncio.to_thread(_sums, task, cloudwatch.endpoint)


def _sums(task: Task, url: str) -> None:
    def told(name: str, **dimensions: str) -> Told:
        return told_to_ministack(url, SOURCE, f"{LEASE_TABLE_PREFIX}told", name, dimensions)

    to = ["--publish-cloudwatch", "--cloudwatch-endpoint", url, "--cloudwatch-per-shard"]
    with task.command(*to, *task.http) as command:
        wait_until(lambda: task.status() == "healthy", 60, command)
        task.write(0, CHANGES)
        wait_until(lambda: task.items() == CHANGES, 120, command)
        wait_until(lambda: task.figures().get("dynamirror_changes_applied_total") == CHANGES, 10, command)
        figures = task.figures()
        code, took_s = command.terminate()
    assert code == 0
    assert took_s < 15
    records = told("RecordsProcessed", Operation="ProcessTask")
    assert (records.total, records.unit) == (CHANGES, "Count")
    assert records.count >= 10, "one observation a page"
    assert (told("RecordsWritten").total, told("RecordsWritten").unit) == (CHANGES, "Count")
    assert told("RecordsFailed").total == told("RecordsRetried").total == 0
    size = told("DataBytesProcessed", Operation="ProcessTask")
    assert size.unit == "Bytes"
    assert size.total > CHANGES * 100
    behind = told("MillisBehindLatest", Operation="ProcessTask")
    assert behind.unit == "Milliseconds"
    # DynamoDB Local rounds its stamps down to the minute.
    assert 0 <= behind.least <= behind.most < 180_000
    [shard] = task.shards()
    for name in ("RecordsProcessed", "DataBytesProcessed", "MillisBehindLatest"):
        assert told(name, Operation="ProcessTask") == told(name, Operation="ProcessTask", ShardId=shard)
    assert figures["dynamirror_changes_read_total"] == CHANGES
    assert figures["dynamirror_write_units_total"] >= CHANGES
    assert 0 <= figures["dynamirror_lag_p50_seconds"] <= figures["dynamirror_lag_p99_seconds"] < 180
    assert (figures["dynamirror_leases_taken_total"], figures["dynamirror_leases_held"]) == (1, 1)
    assert figures["dynamirror_problems"] == figures["dynamirror_changes_held"] == 0


# This machine, by an address that does not say so.
ELSEWHERE = "0.0.0.0"


@pytest.mark.parametrize(
    "java_form,elsewhere,flags,called",
    [
        (False, True, [], False),
        (True, False, [], False),
        (True, True, ["--dont-publish-cloudwatch"], False),
        # Else the three above would prove nothing.
        (True, True, [], True),
    ],
)
def test_cloudwatch_is_called_by_itself_in_the_java_form_only_and_never_where_it_is_switched_off(
    task: Task, cloudwatch: CloudWatchServer, java_form: bool, elsewhere: bool, flags: list[str], called: bool
) -> None:
    """The endpoint that botocore would take is the recording one, so that any request would be seen."""
    if elsewhere:
        task.source_url = task.source_url.replace("127.0.0.1", ELSEWHERE)
    command = task.command(*flags, *task.http, java_form=java_form)
    command._environ["AWS_ENDPOINT_URL_CLOUDWATCH"] = cloudwatch.url
    with command:
        task.write(0, 100)
        wait_until(lambda: task.items() == 100, 60, command)
        # Longer than a round of metrics.
        time.sleep(11)
        assert command.terminate()[0] == 0
    assert (cloudwatch.state.requests > 0) is called


def test_a_cloudwatch_that_hangs_holds_nothing_up(task: Task, cloudwatch: CloudWatchServer) -> None:
    def carried_s(command: Command, begin: int, end: int) -> float:
        wait_until(lambda: task.status() == "healthy", 60, command)
        begun_s = time.monotonic()
        task.write(begin, end)
        wait_until(lambda: task.items() == end, 60, command)
        return time.monotonic() - begun_s

    with task.command(*task.http) as command:
        without_s = carried_s(command, 0, 2000)
        assert command.terminate()[0] == 0
    cloudwatch.state.answers.clear()
    with task.command("--publish-cloudwatch", "--cloudwatch-endpoint", cloudwatch.url, *task.http) as command:
        wait_until(lambda: cloudwatch.state.requests > 0, 60, command)
        hanging_s = carried_s(command, 2000, 4000)
        wait_until(lambda: "metrics not published" in command.output, 30, command)
        assert task.figures()["dynamirror_cloudwatch_dropped_total"] > 0
        assert task.status() == "healthy"
        code, took_s = command.terminate()
    assert code == 0
    assert took_s < 15
    assert command.output.count("metrics not published") == 1, "told once in ten minutes"
    assert hanging_s < 3 * without_s + 5, "changes are carried as fast as without"
    print(f"2,000 changes in {without_s:.1f} s without CloudWatch, in {hanging_s:.1f} s while it hangs")


@pytest.mark.parametrize(
    "operation,why", [("GetRecords", "no page was read"), ("BatchWriteItem", "none became durable")]
)
def test_health_flips_within_30_s_when_a_shard_hangs_and_back(task: Task, operation: str, why: str) -> None:
    with task.command(*task.http) as command:
        task.write(0, 10)
        wait_until(lambda: task.arrived("k9"), 60, command)
        assert task.status() == "healthy"
        hang = task.proxy.do(task.proxy.proxy.faults.add, Kind.HANG, [operation])
        # Several requests of writes: a single one without an answer is not yet a sign.
        for n in range(10):
            task.write(100 + 100 * n, 200 + 100 * n)
        begun = time.monotonic()
        wait_until(lambda: task.status() == "unhealthy", 45, command)
        flipped_s = time.monotonic() - begun
        [problem] = task.problems()
        assert why in problem["why"]
        assert problem["shard"].startswith("shardId-")
        assert flipped_s < 32, "within 30 s, and 2 s for the machine"
        # The worker looks at itself every 2 s.
        wait_until(lambda: f"not healthy: shard {problem['shard']}: " in command.output, 10, command)
        task.proxy.do(task.proxy.proxy.faults.remove, hang)
        back_s = wait_until(lambda: task.status() == "healthy", 60, command)
        print(f"{operation}: unhealthy after {flipped_s:.1f} s, healthy {back_s:.1f} s after the fault ended")
        wait_until(lambda: task.items() == 1010, 60, command)
        wait_until(lambda: "healthy again" in command.output, 10, command)
        assert command.terminate()[0] == 0


def test_a_process_that_was_frozen_says_so_and_is_healthy_again(task: Task) -> None:
    with task.command(*task.http) as command:
        wait_until(lambda: task.status() == "healthy", 60, command)
        os.kill(command.process.pid, signal.SIGSTOP)
        time.sleep(12)
        os.kill(command.process.pid, signal.SIGCONT)
        wait_until(lambda: "the event loop stood still" in command.output, 10, command)
        wait_until(lambda: task.status() == "healthy", 30, command)


def test_a_port_in_use_and_an_address_of_others_are_refused(task: Task) -> None:

    def refused(address: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dynamirror", *task.arguments("--http", address)],
            check=False,
            env=bare_environ(task.access_key),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2, done.stderr
        [line] = [line for line in done.stderr.splitlines() if line.startswith("dynamirror: ")]
        return line

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "cannot be listened on (Address already in use)" in refused(f"127.0.0.1:{taken.getsockname()[1]}")
    assert "only an address of this machine is served" in refused("0.0.0.0:9600")
