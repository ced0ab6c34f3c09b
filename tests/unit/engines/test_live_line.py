"""Where a copy's progress is a live line, and that it ends with the copy, whatever becomes of the terminal."""

import asyncio
import io
import logging
from pathlib import Path

import pytest

from dynamirror.engines.live_line import live_line
from dynamirror.engines.live_progress import tell_verified, told_on
from dynamirror.model.copy import Phase, Segment
from dynamirror.model.copy_line import Standing
from dynamirror.model.copy_progress import progress
from dynamirror.model.verify import Tally
from dynamirror.model.verify_progress import VerifyProgress
from dynamirror.observe.logs import set_up_logs
from dynamirror.observe.metrics import Metrics
from dynamirror.settings.groups import LogSettings
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

TERM = {"TERM": "xterm"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "log,stream,environ",
    [
        (LogSettings(), io.StringIO(), TERM),
        (LogSettings(format="json"), Terminal(), TERM),
        (LogSettings(config_file=Path("log.toml")), Terminal(), TERM),
        (LogSettings(), Terminal(), TERM | {"NO_COLOR": "1"}),
        (LogSettings(), Terminal(), {"TERM": "dumb"}),
        (LogSettings(), Terminal(), {}),
    ],
)
def test_where_lines_must_be_plain_there_is_no_live_one(
    log: LogSettings, stream: io.StringIO, environ: dict[str, str]
) -> None:
    assert live_line(log, stream, environ) is None


def test_a_log_line_is_whole_and_the_stream_is_given_back() -> None:
    stream = Terminal()
    set_up_logs(LogSettings(), "task", "host", stream)
    line = live_line(LogSettings(), stream, TERM)
    assert line is not None
    log = logging.getLogger("dynamirror.copy")
    long = "x" * 500 + " [red]:smile:[/red] end"
    line.show("copying", 0.5)
    log.info(long)
    log.info("plain progress", extra={"event": "copy_progress"})
    line.hide()
    line.hide()
    told = stream.getvalue()
    assert f"INFO {long}\n" in told
    assert "plain progress" not in told
    log.info("after", extra={"event": "copy_progress"})
    assert stream.getvalue().removeprefix(told).endswith("INFO after event=copy_progress\n")


class Place:
    """A line that remembers what it was given."""

    def __init__(self, fails: bool = False) -> None:
        self.said: list[tuple[str, float | None]] = []
        self.hidden = 0
        self._fails = fails

    def show(self, text: str, share: float | None) -> None:
        if self._fails:
            raise OSError("no terminal")
        self.said.append((text, share))

    def hide(self) -> None:
        self.hidden += 1


def test_the_line_is_told_until_the_copy_is_over() -> None:
    async def steps() -> None:
        clock, place, metrics = VirtualClock(), Place(), Metrics()
        now: list[Standing | None] = [None]
        async with told_on(place, lambda: now[0], metrics, clock):
            await asyncio.sleep(5)
            assert not place.said
            for second in range(10):
                counts = progress([Segment(0, read=100 * second, written=100 * second)], clock.boottime_s())
                now[0] = Standing(Phase.COPYING, counts, 1_800)
                metrics.observe("lag_s", 60.0)
                await asyncio.sleep(1)
            assert place.said[-1] == (
                "50 %  900 of about 1,800 items  0 kB  100 items/s  9 s left  0 of 1 segments  lag 60 s",
                0.5,
            )
            now[0] = Standing(Phase.OVER, progress([], 0.0), 1_800)
            await asyncio.sleep(1)
            assert place.hidden == 1

    run_virtual(steps())


def test_a_terminal_that_has_gone_ends_nothing() -> None:
    async def steps() -> None:
        place = Place(fails=True)
        standing = Standing(Phase.ANNOUNCED, progress([], 0.0), 0)
        async with told_on(place, lambda: standing, Metrics(), VirtualClock()):
            await asyncio.sleep(5)
            assert place.hidden == 1

    run_virtual(steps())


def test_a_verify_is_told_until_it_ends() -> None:
    told: list[tuple[str, float | None]] = []

    class Place:
        def show(self, text: str, share: float | None) -> None:
            told.append((text, share))

        def hide(self) -> None:
            """By whoever has begun it."""

    async def scenario() -> None:
        clock = VirtualClock()
        begun_s = clock.boottime_s()

        def progress() -> VerifyProgress:
            read = int((clock.boottime_s() - begun_s) * 100)
            return VerifyProgress(clock.boottime_s(), Tally(source_items=read, destination_items=read), 3, 1, 4)

        telling = asyncio.create_task(tell_verified(Place(), progress, 1000, clock))
        await asyncio.sleep(5)
        telling.cancel()
        await asyncio.wait([telling])

    run_virtual(scenario())
    assert len(told) >= 10
    text, share = told[-1]
    assert "of the destination" in text
    assert "100 items/s" in text
    assert "3 suspects" in text
    assert share is not None
    assert 0.3 < share < 0.6
