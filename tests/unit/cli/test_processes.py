"""`--processes` on the command line: what the workers are started with, and who is one."""

import os
import sys

import pytest

from dynamirror.cli.main import main
from dynamirror.engines import cores, launch, supervise
from dynamirror.engines.child import Program
from dynamirror.engines.lifeline import VARIABLE, Lifeline
from dynamirror.settings.flags import FLAGS
from dynamirror.settings.groups import ReplicationSettings

PAIR = ["--source-region", "us-east-1", "--source-table", "Orders", "--destination-region", "eu-west-1"]
WHOLE = ["replicate", *PAIR, "--destination-table", "Copy"]


class Started:
    """What would have been started."""

    def __init__(self) -> None:
        self.programs: list[tuple[Program, int]] = []
        self.workers: list[Lifeline | None] = []

    def supervise(self, settings: ReplicationSettings, program: Program, count: int, host: str) -> int:
        self.programs.append((program, count))
        return 4

    def launch(self, settings: ReplicationSettings, environ: object, host: str, lifeline: Lifeline | None) -> int:
        assert VARIABLE not in os.environ, "what a worker starts is no worker"
        self.workers.append(lifeline)
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    seen = Started()
    monkeypatch.setattr(supervise, "supervise", seen.supervise)
    monkeypatch.setattr(launch, "launch", seen.launch)
    for flag in FLAGS:
        monkeypatch.delenv(flag.variable, raising=False)
    return seen


def test_workers_get_the_flags_as_they_came_but_for_two(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", "that of python -m")
    words = [*WHOLE, "--http=127.0.0.1:1", "--log-dir=a b", "--processes", "3", "--copy"]
    assert main(words) == 4
    [(program, count)] = started.programs
    assert (count, program.pages) == (3, True)
    assert list(program.words) == [*WHOLE, "--log-dir=a b", "--copy"]
    assert list(program.command) == [sys.executable, "-m", "dynamirror"]
    assert not started.workers


def test_the_java_form_stays_the_java_form(started: Started) -> None:
    words = ["--sourceRegion=us-east-1", "--sourceTable", "Orders", "--destinationRegion", "eu-west-1"]
    assert main([*words, "--destinationTable=Copy", "--processes=2"]) == 4
    [(program, _)] = started.programs
    assert list(program.words) == [*words, "--destinationTable=Copy"]
    assert not program.pages


def test_variables_are_handed_on_but_for_those_two(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    for flag, value in zip(PAIR[::2], PAIR[1::2], strict=True):
        monkeypatch.setenv(f"DYNAMIRROR_{flag[2:].replace('-', '_').upper()}", value)
    monkeypatch.setenv("DYNAMIRROR_DESTINATION_TABLE", "Copy")
    monkeypatch.setenv("DYNAMIRROR_PROCESSES", "auto")
    monkeypatch.setenv("DYNAMIRROR_HTTP", "127.0.0.1:1")
    monkeypatch.setattr(cores, "usable_cores", lambda: 5)
    assert main([]) == 4
    [(program, count)] = started.programs
    assert (count, program.pages, list(program.words)) == (5, True, [])
    dropped = {"DYNAMIRROR_PROCESSES", "DYNAMIRROR_HTTP"}
    assert program.environ == {name: value for name, value in os.environ.items() if name not in dropped}


def test_the_installed_command_looks_for_nothing_in_the_working_directory(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert main([*WHOLE, "--processes", "2"]) == 4
    assert list(started.programs[0][0].command) == [sys.executable, "-P", "-m", "dynamirror"]


def test_one_is_no_supervisor(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 1)
    for more in ([], ["--processes", "1"], ["--processes", "auto"]):
        assert main([*WHOLE, *more]) == 0
    assert started.workers == [None] * 3
    assert not started.programs


def test_a_worker_of_a_supervisor_is_a_worker(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    (asks, ask), (answer, answers) = os.pipe(), os.pipe()
    monkeypatch.setenv(VARIABLE, f'{{"process": 2, "asks": {asks}, "answers": {answers}, "pages": true}}')
    assert main(WHOLE) == 0
    [lifeline] = started.workers
    assert lifeline is not None
    assert lifeline.place.process == 2
    os.write(ask, b"?")
    # It answers from the start on, and no pipe is closed: that would end this very process.
    assert os.read(answer, 1000) == b'{"started":false,"problems":null,"figures":""}\n'
    assert not os.get_inheritable(asks)


def test_a_variable_that_is_left_over_is_refused(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "yes")
    assert main(WHOLE) == 2
    assert not started.workers
