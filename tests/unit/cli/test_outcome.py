"""How a failing program ends: once on the terminal, in the logs, in their format, without a secret."""

import json
import logging
import sys
from pathlib import Path

import pytest

from dynamirror.cli import outcome
from dynamirror.errors import Side, Stop
from dynamirror.observe.logs import set_up_logs
from dynamirror.settings.groups import LogSettings

GONE = Stop(Side.SOURCE, "table gone;\n token=wJalrXUtnFEMI")
SAID = "table gone; token=***"


def test_the_reason_is_a_line_on_the_terminal_and_an_event_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = set_up_logs(LogSettings(directory=tmp_path), "task", "host", sys.stderr)
    assert outcome.reported(ExceptionGroup("tasks", [GONE])) == 3
    assert capsys.readouterr().err == f"dynamirror: {SAID}\n"
    assert file is not None
    assert file.read_text().endswith(f"Z ERROR {SAID} event=failed exit_code=3\n")


def test_as_json_the_terminal_has_nothing_but_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = set_up_logs(LogSettings(directory=tmp_path, format="json"), "task", "host", sys.stderr)
    assert outcome.reported(GONE) == 3
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["message"], told["event"], told["exit_code"]) == ("ERROR", SAID, "failed", 3)
    assert file is not None
    assert json.loads(file.read_text()) == told


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_internal_error_too(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    file = set_up_logs(LogSettings(directory=tmp_path, format=form), "task", "host", sys.stderr)
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError("password=wJalrXUtnFEMI")
    assert outcome.reported_internal(caught.value, {}) == 70
    [line] = capsys.readouterr().err.splitlines()
    assert "internal error at test_outcome.py" in line
    assert file is not None
    assert "Traceback" in file.read_text()
    assert "exit_code" in file.read_text()
    assert "wJalrXUtnFEMI" not in line + file.read_text()


@pytest.mark.parametrize("stream,on_terminal", [("ext://sys.stderr", True), (None, False)])
def test_with_a_configuration_of_the_users_it_is_on_the_terminal_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stream: str | None, on_terminal: bool
) -> None:
    handler = {"class": "logging.StreamHandler", "stream": stream} if stream else {"class": "logging.NullHandler"}
    config = tmp_path / "log.json"
    loggers = {"dynamirror": {"handlers": ["own"], "level": "INFO", "propagate": False}}
    config.write_text(json.dumps({"handlers": {"own": handler}, "loggers": loggers}))
    set_up_logs(LogSettings(config_file=config), "task", "host", sys.stderr)
    try:
        assert outcome.reported(GONE) == 3
    finally:
        logging.getLogger("dynamirror").propagate = True
    assert capsys.readouterr().err == (f"{SAID}\n" if on_terminal else f"dynamirror: {SAID}\n")
