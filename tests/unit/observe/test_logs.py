"""Where events go and how a line looks: files, rotation, redaction, the user's own configuration."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from dynamirror.errors import Refused
from dynamirror.observe import logs
from dynamirror.observe.log_lines import FIELD_LENGTH_MAX
from dynamirror.observe.logs import set_up_logs
from dynamirror.settings.groups import LogSettings

app = logging.getLogger("dynamirror.apply")
leases = logging.getLogger("dynamirror.leases")
shard = logging.getLogger("dynamirror.shard")


def test_text_is_one_line_with_keys_that_a_machine_can_read() -> None:
    stream = io.StringIO()
    set_up_logs(LogSettings(), "task", "host", stream)
    app.info(
        "took %s\nfrom nobody", "s-1", extra={"event": "taken", "facts": {"shard": "s-1", "why": 'a "b" c', "n": 3}}
    )
    time, _, rest = stream.getvalue().partition(" ")
    assert time.endswith("Z")
    assert rest == 'INFO took s-1\\nfrom nobody event=taken shard=s-1 why="a \\"b\\" c" n=3\n'


def test_json_has_the_same_as_an_object_and_keeps_its_own_keys() -> None:
    stream = io.StringIO()
    set_up_logs(LogSettings(format="json"), "task", "host", stream)
    app.warning("slow", extra={"event": "slow", "facts": {"lag_s": 1.5, "level": "high", "path": Path("a")}})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "dynamirror.apply",
        "message": "slow",
        "event": "slow",
        "lag_s": 1.5,
        "fact_level": "high",
        "path": "a",
    }


def test_the_level_is_ours_alone() -> None:
    stream = io.StringIO()
    set_up_logs(LogSettings(level="DEBUG"), "task", "host", stream)
    app.debug("ours")
    logging.getLogger("botocore").info("theirs")
    logging.getLogger("asyncio").warning("theirs, worth a line")
    assert [line.split(" ", 2)[2] for line in stream.getvalue().splitlines()] == ["ours", "theirs, worth a line"]
    set_up_logs(LogSettings(level="ERROR"), "task", "host", stream)
    app.warning("not asked for")
    assert "not asked for" not in stream.getvalue()


def test_two_files_leases_and_shards_apart_from_the_rest(tmp_path: Path) -> None:
    stream = io.StringIO()
    first = set_up_logs(LogSettings(directory=tmp_path / "new" / "dir"), "a/task", "host", stream)
    assert first == tmp_path / "new" / "dir" / "a_task-host-1.log"
    app.info("applied")
    leases.info("took")
    shard.info("started")
    assert [line.split()[2] for line in first.read_text().splitlines()] == ["applied"]
    second = first.with_name("a_task-host-1-leases.log").read_text()
    assert [line.split()[2] for line in second.splitlines()] == ["took", "started"]
    assert len(stream.getvalue().splitlines()) == 3


def test_a_second_process_takes_the_next_number_and_a_restart_the_same(tmp_path: Path) -> None:
    first = set_up_logs(LogSettings(directory=tmp_path), "task", "host", io.StringIO())
    code = (
        "import io, sys, pathlib; from dynamirror.observe.logs import set_up_logs\n"
        "from dynamirror.settings.groups import LogSettings\n"
        "print(set_up_logs(LogSettings(directory=pathlib.Path(sys.argv[1])), 'task', 'host', io.StringIO()).name)"
    )
    for _ in range(2):
        other = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
        assert other.stdout.strip() == "task-host-2.log"
    assert first is not None
    assert first.name == "task-host-1.log"
    again = set_up_logs(LogSettings(directory=tmp_path), "task", "host", io.StringIO())
    assert again == first


def test_files_are_rotated_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 1000)
    set_up_logs(LogSettings(directory=tmp_path), "task", "host", io.StringIO())
    for number in range(500):
        app.info("event number %d of many", number)
    files = sorted(path.name for path in tmp_path.glob("task-host-1.log*"))
    assert len(files) == 1 + logs.BACKUPS
    assert all(path.stat().st_size <= 1000 for path in tmp_path.glob("*.log*"))


def test_long_facts_and_messages_are_cut() -> None:
    stream = io.StringIO()
    set_up_logs(LogSettings(format="json"), "task", "host", stream)
    app.info("m" * 100_000, extra={"event": "e", "facts": {"body": "x" * 100_000}})
    line = json.loads(stream.getvalue())
    assert line["body"] == "x" * FIELD_LENGTH_MAX + "... (100000 characters)"
    assert len(stream.getvalue()) < 6000


SECRET = "wJalrXUtnFEMI/K7MDENG"


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_survives_in_message_facts_or_traceback(tmp_path: Path, form: str, level: str) -> None:
    stream = io.StringIO()
    first = set_up_logs(LogSettings(directory=tmp_path, format=form, level=level), "task", "host", stream)
    app.error("sent with Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/x, Signature=%s", SECRET)
    app.error("answer %s", {"SecretAccessKey": SECRET, "SessionToken": SECRET})
    app.error("url http://x/?X-Amz-Security-Token=%s&a=b", SECRET)
    facts = {"secret_access_key": SECRET, "token": SECRET, "note": f"password={SECRET}", "tokens": 7, "shard": "s-1"}
    app.error("facts", extra={"event": "e", "facts": facts})
    try:
        raise ValueError(f"token={SECRET}")
    except ValueError:
        app.exception("failed")
    assert first is not None
    for text in (stream.getvalue(), first.read_text()):
        assert SECRET not in text
        assert text.count("***") >= 7
        assert "s-1" in text
        assert "a=b" in text
        assert "ValueError" in text
        assert "tokens=7" in text or '"tokens": 7' in text


def test_words_about_tokens_stay_readable() -> None:
    stream = io.StringIO()
    set_up_logs(LogSettings(), "task", "host", stream)
    app.error("The security token included in the request is expired")
    assert "The security token included in the request is expired" in stream.getvalue()


@pytest.mark.parametrize("level,shown", [("INFO", False), ("DEBUG", True)])
def test_tracebacks_of_internal_errors_go_to_the_file_and_at_debug_to_the_terminal(
    tmp_path: Path, level: str, shown: bool
) -> None:
    stream = io.StringIO()
    first = set_up_logs(LogSettings(directory=tmp_path, level=level), "task", "host", stream)
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError:
        logging.getLogger(logs.TRACEBACKS).exception("internal error")
    assert first is not None
    assert "Traceback" in first.read_text()
    assert ("Traceback" in stream.getvalue()) is shown


def test_a_directory_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"--log-dir .*file.*give a directory that can be written"):
        set_up_logs(LogSettings(directory=tmp_path / "file"), "task", "host", io.StringIO())


TOML = """
[handlers.file]
class = "logging.FileHandler"
filename = "{path}"
formatter = "json"
[formatters.json]
"()" = "dynamirror.observe.log_lines.JsonLines"
[loggers.dynamirror]
level = "INFO"
handlers = ["file"]
"""


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_configuration_of_the_users_is_taken_and_redacted_too(tmp_path: Path, suffix: str) -> None:
    import tomllib

    text = TOML.format(path=tmp_path / "own.log")
    config = tmp_path / f"logging{suffix}"
    config.write_text(text if suffix == ".toml" else json.dumps(tomllib.loads(text)))
    stream = io.StringIO()
    assert set_up_logs(LogSettings(config_file=config), "task", "host", stream) is None
    app.info("token=%s", SECRET, extra={"event": "e", "facts": {"shard": "s-1"}})
    line = json.loads((tmp_path / "own.log").read_text())
    assert (line["message"], line["shard"]) == ("token=***", "s-1")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "name,text,said",
    [
        ("log4j.properties", "log4j.rootLogger=INFO", "this is a log4j file; write Python's logging configuration"),
        ("log4j2.XML", "<Configuration/>", "this is a log4j file"),
        ("log.yaml", "a: b", "the name must end in .toml or .json"),
        ("log.toml", "a = ", "log.toml: "),
        ("log.json", "[1]", "must be an object of dictConfig's keys"),
        ("log.json", '{"handlers": {"x": {"class": "no.such.Class"}}}', "Unable to configure handler 'x'"),
        ("missing.toml", None, "No such file or directory"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(Refused) as refusal:
        set_up_logs(LogSettings(config_file=tmp_path / name), "task", "host", io.StringIO())
    assert said in str(refusal.value)
    assert str(refusal.value).startswith("--log-config ")
