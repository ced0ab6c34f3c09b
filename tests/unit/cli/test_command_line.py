"""The command line in process: spellings, help, outcomes. The worker is replaced by a recorder."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dynamirror import __version__
from dynamirror.cli.main import main
from dynamirror.engines import launch
from dynamirror.engines.lifeline import Lifeline
from dynamirror.errors import ExitCode, Gap, Refused, Side, Stop, Throttled
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.copy_summary import Summary, summed
from dynamirror.settings.at_rest import AT_REST
from dynamirror.settings.flag import Flag
from dynamirror.settings.flags import FLAGS
from dynamirror.settings.groups import ReplicationSettings
from scripts import help_pages

PAIR = ["--source-region", "us-east-1", "--source-table", "Orders", "--destination-region", "eu-west-1"]
WHOLE = ["replicate", *PAIR, "--destination-table", "Copy"]
JAVA = [
    "--sourceRegion=us-east-1",
    "--sourceTable",
    "Orders",
    "--destinationRegion",
    "eu-west-1",
    "--destinationTable=Copy",
]


class Recorder:
    """Stands in for the engine: keeps the settings, returns 0 or raises."""

    def __init__(self) -> None:
        self.seen: list[ReplicationSettings] = []
        self.error: BaseException | None = None

    def __call__(
        self, settings: ReplicationSettings, environ: Mapping[str, str], host: str, lifeline: Lifeline | None = None
    ) -> int:
        assert lifeline is None
        self.seen.append(settings)
        if self.error is not None:
            raise self.error
        return 0


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()

    def copied(settings: ReplicationSettings, environ: Mapping[str, str], host: str) -> Summary:
        recorder(settings, environ, host)
        return summed(Copy(Phase.COPYING, 4, 0, True), [], now_ms=1000)

    monkeypatch.setattr(launch, "launch", recorder)
    monkeypatch.setattr(launch, "launch_copy", copied)
    for flag in FLAGS:
        monkeypatch.delenv(flag.variable, raising=False)
    return recorder


def test_the_java_command_line_and_ours_mean_the_same_but_for_the_form(engine: Recorder) -> None:
    assert main(JAVA) == 0
    assert main(["replicate", *JAVA]) == 0
    assert main(WHOLE) == 0
    assert main(WHOLE[1:]) == 0
    java, java_named, ours, ours_bare = engine.seen
    assert java.java_form
    assert ours_bare.java_form
    assert not java_named.java_form
    assert ours == java_named
    assert (java.source, java.destination, java.task) == (ours.source, ours.destination, ours.task)


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag.java], ids=lambda flag: flag.field)
def test_every_java_spelling_is_taken(engine: Recorder, flag: object) -> None:
    from tests.unit.settings.test_parse import EFFECTS, at

    field: str = getattr(flag, "field")  # noqa: B009
    value, path, expected = EFFECTS[field]
    ours = {"source_region": 0, "source_table": 2, "destination_region": 4, "destination_table": 6}
    base = WHOLE[1:]
    if field in ours:
        del base[ours[field] : ours[field] + 2]
    for spelling in getattr(flag, "java"):  # noqa: B009
        engine.seen.clear()
        assert main([*base, *([spelling] if field == "dont_publish_cloudwatch" else [spelling, value])]) == 0
        assert at(engine.seen[0], path) == expected


def test_a_flag_beats_its_variable(engine: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMIRROR_BATCH_SIZE", "7")
    monkeypatch.setenv("DYNAMIRROR_DESTINATION_TABLE", "FromVariable")
    assert main([*WHOLE, "--batch-size", "9"]) == 0
    assert main(["replicate", *PAIR]) == 0
    assert engine.seen[0].read.batch_size == 9
    assert engine.seen[0].destination.table == "Copy"
    assert engine.seen[1].read.batch_size == 7
    assert engine.seen[1].destination.table == "FromVariable"


BAD = [
    (["--sourceRegio", "x"], "no such flag: --sourceRegio; did you mean --sourceRegion?"),
    ([*WHOLE, "--batchsize", "4"], "no such flag: --batchsize; did you mean --batch-size?"),
    ([*WHOLE, "--sorce-table=4"], "no such flag: --sorce-table; did you mean --source-table?"),
    ([*WHOLE, "--wibble"], "no such flag: --wibble (see dynamirror replicate --help)"),
    (["replicat"], "no such command: replicat; did you mean replicate? (see dynamirror --help)"),
    ([*WHOLE, "extra"], "unexpected extra argument (extra)"),
    (["replicate", *PAIR], "missing: --destination-table (or DYNAMIRROR_DESTINATION_TABLE)"),
    (JAVA[:-1], "missing: --destinationTable (or DYNAMIRROR_DESTINATION_TABLE)"),
    ([*WHOLE, "--batch-size"], "requires an argument (see dynamirror replicate --help)"),
    ([*JAVA, "--batchSize"], "requires an argument (see dynamirror replicate --help)"),
    (["demo", "--seconds"], "requires an argument (see dynamirror demo --help)"),
    (["-sourceRegion", "us-east-1"], "no such flag: -sourceRegion; did you mean --sourceRegion?"),
    ([*WHOLE, "-batchSize=4"], "no such flag: -batchSize; did you mean --batchSize?"),
    ([*WHOLE, "-x"], "no such flag: -x (see dynamirror replicate --help)"),
    (["demo", "-seconds", "4"], "no such flag: -seconds; did you mean --seconds?"),
    ([*WHOLE, "--task-name", "--batch-size", "4"], "--task-name has no value, the next word is --batch-size"),
    ([*WHOLE, "--sourceTable", "Other"], "is given with different values: Orders, Other"),
    ([*WHOLE, "--sourceSigningRegion", "eu-west-3"], "is given with different values: us-east-1, eu-west-3"),
    ([*WHOLE, "--batch-size", "0"], "--batch-size 0: must be 1 to 1000"),
    ([*WHOLE, "--allow-loop=yes"], "does not take a value"),
    (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
]


@pytest.mark.parametrize("args,said", BAD, ids=[said[:40] for _, said in BAD])
def test_bad_input_gets_one_line_and_exit_code_2_and_starts_nothing(
    engine: Recorder, capsys: pytest.CaptureFixture[str], args: list[str], said: str
) -> None:
    assert main(args) == 2
    output = capsys.readouterr()
    assert said in output.err
    assert output.err.startswith("dynamirror: ")
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert not engine.seen


def test_the_same_value_twice_is_no_quarrel(engine: Recorder) -> None:
    assert main([*WHOLE, "--sourceTable", "Orders", "--sourceSigningRegion=us-east-1"]) == 0
    assert engine.seen[0].source.table == "Orders"


def test_an_error_ends_in_its_line_and_its_code(engine: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    for error, code in [
        (Refused("no such thing"), 2),
        (Stop(Side.SOURCE, "table gone"), 3),
        (Stop(Side.DESTINATION, "access denied"), 4),
        (Throttled(Side.STATE, "not\n  now"), 5),
        (Gap("changes lost"), 6),
        (ExceptionGroup("tasks", [ValueError("x"), ExceptionGroup("in", [Stop(Side.SOURCE, "inner")])]), 3),
        (KeyboardInterrupt(), 130),
    ]:
        engine.error = error
        assert main(WHOLE) == code
        said = capsys.readouterr().err
        leaf = "inner" if isinstance(error, ExceptionGroup) else " ".join(str(error).split())
        assert said.strip() == (f"dynamirror: {leaf}" if leaf else "")


def test_an_unforeseen_error_says_where_and_how_to_report(
    engine: Recorder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.error = ExceptionGroup("tasks", [ZeroDivisionError("by nothing")])
    monkeypatch.setattr("logging.Logger.hasHandlers", lambda _: False)
    with pytest.raises(SystemExit, match="70"):
        main(WHOLE)
    said = capsys.readouterr().err
    assert said.startswith("dynamirror: internal error")
    assert "ZeroDivisionError: by nothing; please report it" in said
    assert said.count("\n") == 1
    monkeypatch.setenv("DYNAMIRROR_LOG_LEVEL", "DEBUG")
    with pytest.raises(SystemExit, match="70"):
        main(WHOLE)
    assert "Traceback" in capsys.readouterr().err


def test_help_of_replicate_names_every_flag_spelling_and_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for args in (["replicate", "--help"], ["replicate", "-h"], ["--sourceRegion", "x", "--help"]):
        assert main(args) == 0
        words = set(capsys.readouterr().out.replace("[", " ").replace("]", " ").replace(",", " ").split())
        for flag in FLAGS:
            assert {*flag.spellings, flag.variable} <= words, flag.field
        assert {"Examples:", "Source:", "Destination:"} <= words


COPY = ["copy", *WHOLE[1:]]


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.field)
def test_copy_takes_its_flags_and_refuses_those_that_mean_nothing_to_it(engine: Recorder, flag: Flag) -> None:
    from dynamirror.settings.needs import NEEDS
    from tests.unit.settings.test_parse import EFFECTS, at

    value, path, expected = EFFECTS[flag.field]
    more = ["--create-destination"] if "create_destination" in NEEDS.get(flag.field, ()) else []
    at_source = {"source_region": 1, "source_table": 3, "destination_region": 5, "destination_table": 7}
    base = list(COPY)
    if flag.field in at_source:
        del base[at_source[flag.field] : at_source[flag.field] + 2]
    line = [*base, *more, *([flag.name] if flag.kind == "switch" else [flag.name, value])]
    if flag not in AT_REST:
        assert main(line) == 2
        assert not engine.seen
        return
    assert main(line) == 1, "the recorder's copy is not over"
    [settings] = engine.seen
    assert at(settings, path) == expected
    assert settings.copy.at_rest


def test_a_variable_for_another_command_is_none_of_copys(
    engine: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DYNAMIRROR_START_AT", "latest")
    monkeypatch.setenv("DYNAMIRROR_SEGMENTS", "9")
    assert main([*COPY, "--json"]) == 1
    assert engine.seen[0].copy.segments == 9
    told = json.loads(capsys.readouterr().out)
    assert (told["over"], told["segments"]) == (False, 4)


def test_help_of_copy_and_the_reference_name_its_flags_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", "--help"]) == 0
    words = set(capsys.readouterr().out.replace("[", " ").replace("]", " ").replace(",", " ").split())
    page = help_pages.pages()["cli.md"].partition("## dynamirror copy")[2].partition("\n## ")[0]
    for flag in FLAGS:
        assert (flag.name in words) is (flag in AT_REST), flag.field
        assert (f"{flag.name} " in page) is (flag in AT_REST), flag.field
    assert "--json" in words


def test_help_version_and_completion(capsys: pytest.CaptureFixture[str]) -> None:
    for args, said in [
        (["--help"], "replicate"),
        (["-h"], "replicate"),
        (["--version"], f"dynamirror {__version__}"),
        (["demo", "--help"], "--dynamodb-local"),
        (["completion", "zsh"], "compdef _dynamirror_completion dynamirror"),
        (["completion", "fish"], "complete --no-files --command dynamirror"),
    ]:
        assert main(args) == 0
        assert said in capsys.readouterr().out
    assert main([]) == 2
    assert "Usage:" in capsys.readouterr().err


def run(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: `python <args>`."""
    return subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environ},
    )


def test_help_imports_neither_transport_nor_sdk_nor_loop() -> None:
    code = (
        "import sys\nfrom dynamirror.cli.main import main\nmain(['--help'])\nmain(['replicate', '--help'])\n"
        "heavy = {'aiohttp', 'botocore', 'asyncio', 'msgspec', 'prometheus_client', 'rich', 'uvloop'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))"
    )
    assert run("-c", code).stderr == ""


def test_completion_offers_commands_flags_and_choices() -> None:
    def completed(line: str) -> str:
        words = str(len(line.split(" ")) - 1)
        # fish passes the word being completed apart.
        return run("-m", "dynamirror", _DYNAMIRROR_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=words).stdout

    assert "plain,replicate" in completed("dynamirror rep")
    assert "plain,--source-region" in completed("dynamirror replicate --source-r")
    assert "plain,DEBUG" in completed("dynamirror replicate --log-level d")
    assert "plain,--sourceRegion" in completed("dynamirror --sour")
    assert "plain,--source-table" in completed("dynamirror --sour")
    assert completed("dynamirror --h").count("plain,--help") == 1
    assert "plain,--version" in completed("dynamirror --")
    assert "plain,--sourceTable" in completed("dynamirror --sourceRegion x --sourceT")


def test_variables_alone_are_a_whole_command_line(engine: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("source_region", "source_table", "destination_region", "destination_table"):
        monkeypatch.setenv("DYNAMIRROR_" + name.upper(), "us-east-1")
    assert main([]) == 0
    assert engine.seen[0].destination.table == "us-east-1"


def test_the_fastest_loop_runs() -> None:
    async def nothing() -> str:
        return type(asyncio.get_running_loop()).__module__

    with asyncio.Runner(loop_factory=launch.fastest_loop()) as runner:
        assert runner.run(nothing()) in ("uvloop", "asyncio.unix_events")


def test_the_reference_is_in_step_and_has_every_flag() -> None:
    pages = help_pages.pages()
    for name, text in pages.items():
        assert (help_pages.REFERENCE / name).read_text() == text, f"run scripts/help_pages.py: {name}"
    for flag in FLAGS:
        for word in (*flag.spellings, flag.variable):
            assert f"`{word}`" in pages["cli.md"]
    for code in ExitCode:
        assert f"| {int(code)} |" in pages["exit-codes.md"]


def test_a_page_out_of_step_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(help_pages, "REFERENCE", tmp_path)
    assert help_pages.main(["--check"]) == 1
    assert "docs/reference/cli.md is out of step" in capsys.readouterr().err
    assert help_pages.main([]) == 0
    assert help_pages.main(["--check"]) == 0
    (tmp_path / "cli.md").write_text("old")
    assert help_pages.main(["--check"]) == 1
