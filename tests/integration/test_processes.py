"""`--processes`: real workers under a real supervisor, behind a stream of many shards, and what is done to them."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dynamirror.aws.loopback import free_port
from dynamirror.model.task_name import LEASE_TABLE_PREFIX
from tests.bench.harness import REGION, Bench
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import table_request
from tests.support.items import whole_table
from tests.support.pages import page_of
from tests.support.terminal import OnTerminal

PROCESSES = 3
SHARDS = 6
TASK = "processes"
# 5 s for a worker's end, and slack for a busy machine.
STOP_S_MAX = 20.0


class Machine:
    """A source of many shards, a destination, and the command with its workers between them."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.log = folder / "log"
        self.port = free_port()
        bench.direct.create_table(**table_request("Copy", {"pk": "S"}, None))
        self.stream = bench.many(SHARDS)

    def words(self, *more: str) -> list[str]:
        url = self.bench.thread.url
        flags = ["--source-region", REGION, "--source-table", "Orders", "--source-endpoint", url]
        flags += ["--destination-region", REGION, "--destination-table", "Copy", "--destination-endpoint", url]
        flags += ["--task-name", TASK, "--stray-life", "5s", "--processes", str(PROCESSES)]
        return ["replicate", *flags, "--http", f"127.0.0.1:{self.port}", *more]

    def command(self, *more: str) -> Command:
        return Command(self.words(*more), self.log, bare_environ(self.bench.access_key))

    def owners(self) -> list[str]:
        """Of each shard that is not finished, who has it; "": nobody."""
        try:
            rows = self.bench.direct.scan(TableName=f"{LEASE_TABLE_PREFIX}{TASK}", ConsistentRead=True)["Items"]
        except self.bench.direct.exceptions.ResourceNotFoundException:
            return []
        return [row.get("leaseOwner", {"S": ""})["S"] for row in rows if row["checkpoint"].get("S") != "SHARD_END"]

    def shared(self) -> bool:
        """Each worker has its part."""
        owners = self.owners()
        return len(owners) == SHARDS and all(owners) and len(set(owners)) == PROCESSES

    def equal(self) -> bool:
        return whole_table(self.bench.direct, "Orders") == whole_table(self.bench.direct, "Copy")

    def get(self, page: str) -> tuple[int, str]:
        return page_of(self.port, page)

    def healthy(self) -> bool:
        code, body = self.get("/healthz")
        return code == 200 and json.loads(body)["status"] == "healthy"

    def problems(self) -> list[str]:
        code, body = self.get("/healthz")
        return [problem["why"] for problem in json.loads(body)["problems"]] if code == 503 else []

    def figures(self, name: str) -> dict[str, float]:
        """By process."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return {sample.labels["process"]: sample.value for sample in samples}


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return sorted(map(int, listed.stdout.split()))


def gone(pids: list[int]) -> bool:
    """Zombies count: whose parent was killed, init may be slow to bury."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", ",".join(map(str, pids))], capture_output=True, check=False)
    return all(line.startswith(b"Z") for line in listed.stdout.split())


@pytest.fixture
def machine(bench: Bench, tmp_path: Path) -> Machine:
    return Machine(bench, tmp_path)


def test_workers_share_the_shards_and_one_that_is_killed_is_started_again(machine: Machine) -> None:
    names = [f"key{n}" for n in range(60)]
    with machine.command() as command:
        wait_until(machine.shared, 90, command)
        wait_until(machine.healthy, 30, command)
        workers = children_of(command.process.pid)
        assert len(workers) == PROCESSES
        machine.bench.write(names, machine.stream)
        wait_until(machine.equal, 60, command)
        with ThreadPoolExecutor(1) as pool:
            os.kill(workers[1], signal.SIGKILL)
            writing = pool.submit(machine.bench.write, names, machine.stream)
            # Until it has been started again, a second later and more.
            wait_until(lambda: any("signal 9" in why for why in machine.problems()), 10, command)
            writing.result()
        wait_until(machine.equal, 60, command)
        wait_until(lambda: len(children_of(command.process.pid)) == PROCESSES, 30, command)
        assert len(set(children_of(command.process.pid)) - set(workers)) == 1
        wait_until(machine.shared, 90, command)
        wait_until(machine.healthy, 30, command)
        assert sum(machine.figures("dynamirror_process_restarts_total").values()) == 1
        _stops_in_order(machine, command)
    [line] = [line for line in command.output.splitlines() if "event=process_restarted" in line]
    assert "signal 9 (SIGKILL)" in line


def _stops_in_order(machine: Machine, command: Command) -> None:
    workers = children_of(command.process.pid)
    code, took_s = command.terminate()
    assert (code, took_s < STOP_S_MAX) == (0, True)
    assert gone(workers)
    # After a crash a lease may have to expire by itself, because a dead worker's writes may still land.
    kept = command.output.count("event=lease_kept")
    assert kept == 0 or "event=process_restarted" in command.output
    assert sum(map(bool, machine.owners())) == kept, "the leases are released"
    assert command.output.count("event=stopped") == PROCESSES


def test_the_pages_show_every_process_and_one_that_stands_still_is_told(machine: Machine) -> None:
    with machine.command() as command:
        wait_until(machine.shared, 90, command)
        wait_until(machine.healthy, 30, command)
        machine.bench.write([f"key{n}" for n in range(60)], machine.stream)
        wait_until(machine.equal, 60, command)
        wait_until(lambda: sum(machine.figures("dynamirror_changes_applied_total").values()) == 60, 10, command)
        for name in ("changes_applied_total", "lag_seconds_count", "lag_p50_seconds"):
            _all_tell(machine, name, command)
        assert sum(_all_tell(machine, "leases_held", command)) == SHARDS
        # What is written is charged for: --http asks for it in the workers, too.
        assert all(_all_tell(machine, "write_units_total", command))
        frozen = children_of(command.process.pid)[0]
        os.kill(frozen, signal.SIGSTOP)
        try:
            wait_until(lambda: any("does not answer" in why for why in machine.problems()), 30, command)
            wait_until(lambda: sorted(machine.figures("dynamirror_process_up").values()) == [0, 1, 1], 30, command)
        finally:
            os.kill(frozen, signal.SIGCONT)
        wait_until(machine.healthy, 60, command)
        os.kill(frozen, signal.SIGSTOP)
        # It is frozen: it is ended, which is no orderly end.
        code, took_s = command.terminate()
        assert (code, took_s < STOP_S_MAX) == (70, True)
        assert gone([frozen])


def _all_tell(machine: Machine, name: str, command: Command) -> list[float]:
    """A page has no figures of a worker that was slow to answer; the next one has."""
    pages: list[dict[str, float]] = []

    def whole() -> bool:
        pages.append(machine.figures(f"dynamirror_{name}"))
        return set(pages[-1]) == {"1", "2", "3"}

    wait_until(whole, 30, command)
    return list(pages[-1].values())


def test_workers_do_not_outlive_their_supervisor(machine: Machine) -> None:
    with machine.command() as command:
        wait_until(machine.shared, 90, command)
        workers = children_of(command.process.pid)
        command.kill()
        wait_until(lambda: gone(workers), STOP_S_MAX)
    assert not any(machine.owners()), "they ended in order"
    assert command.output.count("event=supervisor_gone") == command.output.count("event=stopped") == PROCESSES


def test_what_is_refused_is_told_once_and_is_the_exit_code(machine: Machine) -> None:
    words = [word if word != "Copy" else "Nowhere" for word in machine.words()]
    with Command(words, machine.log, bare_environ(machine.bench.access_key)) as command:
        assert command.process.wait(timeout=60) == 4
    [line] = command.output.splitlines()[-1:]
    assert line.startswith("dynamirror: ")
    assert command.output.count("Nowhere") == 1
    assert command.output.count("dynamirror: ") == 1
    assert "event=process_" not in command.output


def test_a_reason_that_all_share_ends_all(machine: Machine) -> None:
    """The lease table is deleted under them."""
    with machine.command() as command:
        wait_until(machine.shared, 90, command)
        workers = children_of(command.process.pid)
        machine.bench.direct.delete_table(TableName=f"{LEASE_TABLE_PREFIX}{TASK}")
        assert command.process.wait(timeout=60) == 5
        assert gone(workers)


def test_ctrl_c_in_a_terminal_stops_each_worker_once(machine: Machine) -> None:
    """It goes to the terminal's process group; a worker that got a second one a second later would end at once."""
    with machine.log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dynamirror", *machine.words()],
            env=bare_environ(machine.bench.access_key),
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        wait_until(machine.shared, 90)
        workers = children_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=STOP_S_MAX) == 0
        assert gone(workers)
    finally:
        process.kill()
        process.wait()
    assert not any(machine.owners())
    printed = machine.log.read_text()
    assert printed.count("SIGINT: stopping") == 1
    assert printed.count("SIGTERM: stopping") == printed.count("event=stopped") == PROCESSES


def test_a_second_signal_ends_all_at_once(machine: Machine) -> None:
    with machine.command() as command:
        wait_until(machine.shared, 90, command)
        workers = children_of(command.process.pid)
        # Frozen: an orderly end would wait for it.
        os.kill(workers[0], signal.SIGSTOP)
        command.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "SIGTERM: stopping" in command.output, 30, command)
        time.sleep(3)
        command.process.send_signal(signal.SIGTERM)
        assert command.process.wait(timeout=5) == -signal.SIGTERM
        os.kill(workers[0], signal.SIGCONT)
        wait_until(lambda: gone(workers), STOP_S_MAX)


def test_by_variables_alone_and_the_destination_is_made_once(machine: Machine) -> None:
    """No words at all: everything is in the environment, as in a container."""
    words = machine.words("--create-destination")
    variables: dict[str, Any] = {"DYNAMIRROR_CREATE_DESTINATION": "true"}
    for flag, value in zip(words[1:-1:2], words[2:-1:2], strict=True):
        variables[f"DYNAMIRROR_{flag.removeprefix('--').replace('-', '_').upper()}"] = value
    variables["DYNAMIRROR_DESTINATION_TABLE"] = "Made"
    with Command([], machine.log, bare_environ(machine.bench.access_key) | variables) as command:
        wait_until(machine.shared, 90, command)
        wait_until(machine.healthy, 30, command)
        machine.bench.write(["a", "b", "c"], machine.stream)
        wait_until(lambda: len(whole_table(machine.bench.direct, "Made")) == 3, 30, command)
        _stops_in_order(machine, command)


def test_a_copy_by_several_on_a_terminal_is_told_in_whole_lines(machine: Machine) -> None:
    machine.bench.write([f"key{n}" for n in range(60)], machine.stream)
    with OnTerminal(machine.words("--copy"), bare_environ(machine.bench.access_key)) as command:
        wait_until(machine.healthy, 60)
        wait_until(machine.equal, 60)
        assert command.terminate() == 0
        assert command.ended(10) == 0
    assert command.output.count("event=started") == PROCESSES
    assert "event=copy_progress" in command.output
    assert "\x1b" not in command.output, "a live line"
