"""What is left of a clone waits for the copy; where it cannot be done, the table is followed all the same."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dynamirror.aws.connect import Connections
from dynamirror.copy.copier import Copier
from dynamirror.engines.make_destination import finish_when_copied, make_destination
from dynamirror.errors import AccessDenied, NotFound, Refused, Side, Stop
from dynamirror.model.copy import Copy, Phase
from dynamirror.settings.parse import settings_from
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.unit.engines.clone_world import World

FLAGS: dict[str, Any] = {
    "source_region": "us-east-1",
    "source_table": "Orders",
    "destination_region": "eu-west-1",
    "destination_table": "Copy",
    "copy": True,
    "create_destination": True,
}


class Denied:
    """A control plane without rights: it notes that it was asked."""

    url = "https://denied.invalid/"

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        async def refuse(*_: Any, **__: Any) -> Any:
            self.asked += 1
            raise AccessDenied(Side.DESTINATION, "UpdateTimeToLive is not allowed")

        return refuse


def test_a_file_of_settings_says_what_is_otherwise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "table.json"
    path.write_text('{"deletion_protection": false, "indexes": {"by-at": false}}')
    settings = settings_from({**FLAGS, "enable_stream": True, "destination_settings": path}, java_form=False, now_ms=0)
    world, clock = World(), VirtualClock()
    controls = {"source_control": world.source.control(clock), "destination_control": world.destination.control(clock)}
    with caplog.at_level(logging.INFO, "dynamirror.clone"):
        run_virtual(make_destination(cast(Connections, SimpleNamespace(**controls)), settings, clock))
    assert f"created table Copy as Orders is defined, but for --destination-settings {path}, without" in caplog.text
    made = world.destination.last("CreateTable")
    assert not made.get("DeletionProtectionEnabled")
    assert [index["IndexName"] for index in made["GlobalSecondaryIndexes"]] == ["by-who"]


def test_a_source_whose_stream_is_off_is_no_matter_where_the_destination_is_there() -> None:
    """1 the stream is switched off, not applied to its end; 2 the last worker dies; 3 the same command is started."""
    settings = settings_from(FLAGS, java_form=False, now_ms=0)
    world, clock = World(StreamSpecification={"StreamEnabled": False}), VirtualClock()
    controls = {"source_control": world.source.control(clock), "destination_control": world.destination.control(clock)}
    with pytest.raises(Stop, match="is off"):
        run_virtual(make_destination(cast(Connections, SimpleNamespace(**controls)), settings, clock))
    assert not world.destination.changes()
    world.own()
    run_virtual(make_destination(cast(Connections, SimpleNamespace(**controls)), settings, clock))


def test_settings_that_do_not_suit_the_source_make_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text('{"indexes": {"nowhere": false}}')
    settings = settings_from({**FLAGS, "enable_stream": True, "destination_settings": path}, java_form=False, now_ms=0)
    world, clock = World(), VirtualClock()
    controls = {"source_control": world.source.control(clock), "destination_control": world.destination.control(clock)}
    with pytest.raises(Refused, match=r"^--destination-settings .*table.json: the source table has no index nowhere"):
        run_virtual(make_destination(cast(Connections, SimpleNamespace(**controls)), settings, clock))
    assert not world.destination.changes()


@pytest.mark.parametrize("at_rest", [False, True])
def test_a_source_that_is_not_there_is_told_in_the_words_of_any_start(at_rest: bool) -> None:
    settings = settings_from(FLAGS, java_form=False, now_ms=0)
    settings = replace(settings, copy=replace(settings.copy, at_rest=at_rest))
    world, clock = World(), VirtualClock()
    del world.source.tables["Orders"]
    sides = {"source_control": world.source.control(clock), "source": SimpleNamespace(url="http://east")}
    with pytest.raises(NotFound, match=r"^the source table Orders does not exist in us-east-1 \(http://east\); check"):
        run_virtual(make_destination(cast(Connections, SimpleNamespace(**sides)), settings, clock))


def test_a_right_that_is_missing_at_the_end_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        control = Denied()
        connections = cast(Connections, SimpleNamespace(source_control=control, destination_control=control))
        copier = SimpleNamespace(copy=Copy(Phase.COPYING, 4, 0, True))
        settings = settings_from(FLAGS, java_form=False, now_ms=0)
        finishing = asyncio.create_task(finish_when_copied(connections, settings, cast(Copier, copier), VirtualClock()))
        await asyncio.sleep(600)
        assert control.asked == 0, "nothing before the copy is over"
        copier.copy = copier.copy.moved(Phase.OVER)
        await asyncio.sleep(60)
        assert control.asked > 0
        await finishing

    with caplog.at_level(logging.ERROR, "dynamirror.clone"):
        run_virtual(scenario())
    [line] = caplog.records
    assert line.__dict__["event"] == "clone_unfinished"
    assert "UpdateTimeToLive is not allowed" in line.getMessage()
