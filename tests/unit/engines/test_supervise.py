"""A supervisor and processes that are real, but no workers: they answer, and end as they are told."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dynamirror.engines import supervise
from dynamirror.engines.child import Program
from dynamirror.engines.lifeline import VARIABLE, lifeline_of
from dynamirror.engines.supervise import Supervisor
from dynamirror.errors import Refused
from dynamirror.model.processes import Again, health_of

# It writes down that it began; then does what its word says, with `process` and how many began at its place.
WORKER = """
import os, signal, sys, time
from dynamirror.engines.lifeline import VARIABLE, lifeline_of
from dynamirror.model.processes import Told
lifeline = lifeline_of(os.environ.pop(VARIABLE))
process = lifeline.place.process
with open(sys.argv[1], "a+") as begun:
    begun.write(f"{process}\\n")
    begun.seek(0)
    runs = begun.read().split().count(str(process))
def follow(code=0):
    def end(*_):
        os._exit(code)
    signal.signal(signal.SIGTERM, end)
    lifeline.tells(lambda: Told(True, []))
    lifeline.begin()
    time.sleep(60)
exec(sys.argv[2])
"""


async def _until(run: "asyncio.Task[int]", when: Callable[[], Awaitable[bool]]) -> None:
    """Until `when`, which nobody tells us of, or until it is over."""
    while not (run.done() or await when()):
        await asyncio.wait({run}, timeout=0.02)


class Roof:
    """What is begun under it."""

    def __init__(self, folder: Path, code: str, count: int = 3) -> None:
        self._begun = folder / "begun"
        self.program = Program([sys.executable, "-c", WORKER], [str(self._begun), code], os.environ, pages=False)
        self.supervisor = Supervisor(self.program, count)

    @property
    def begun(self) -> list[str]:
        """Numbers of the processes, in the order in which they began."""
        return self._begun.read_text().split() if self._begun.exists() else []

    async def healthy(self) -> bool:
        return health_of(await self.supervisor.look()) == []

    async def end(self, when: Callable[[], Awaitable[bool]]) -> int:
        """Run it, ask for the end once `when`; the exit code."""
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            run = group.create_task(self.supervisor.run())
            await _until(run, when)
            self.supervisor.stop()
        return run.result()


async def test_the_first_has_started_before_the_others_begin(tmp_path: Path) -> None:
    late = "if process == 1: assert runs == 1; time.sleep(0.5); assert open(sys.argv[1]).read() == '1\\n'\nfollow()"
    roof = Roof(tmp_path, late)
    assert await roof.end(roof.healthy) == 0
    assert sorted(roof.begun) == ["1", "2", "3"]


async def test_a_refusal_of_the_first_is_the_end_and_no_other_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def never() -> bool:
        return False

    roof = Roof(tmp_path, "sys.exit(4)")
    assert await roof.end(never) == 4
    assert roof.begun == ["1"]
    assert not caplog.records, "the reason was told by the process itself"


async def test_a_reason_of_one_ends_all_and_their_ends_do_not_hide_it(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    roof = Roof(tmp_path, "lifeline.tells(lambda: Told(True, []))\nif process == 2: sys.exit(7)\nfollow(code=1)")
    # Until it has started a gap, or too many parked, is everybody's too.
    assert await roof.end(never) == 7


async def test_one_that_dies_is_started_again_and_until_then_nothing_is_healthy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dynamirror")
    # At its first run it follows until it is told to die; the second one takes its time.
    first = f"if process == 2 and runs == 1: open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    second = "if runs == 2: lifeline.begin(); time.sleep(0.5); lifeline.begin = lambda: None\n"
    roof = Roof(tmp_path, f"{first}{second}follow()")
    killed = False
    ill: list[str] = []

    async def healed() -> bool:
        nonlocal killed
        found = health_of(await roof.supervisor.look())
        if found == [] and not killed:
            killed = True
            os.kill(int((tmp_path / "pid").read_text()), 9)
            return False
        ill.extend(one.why for one in found or ())
        return killed and found == [] and roof.begun.count("2") == 2

    assert await roof.end(healed) == 0
    ended = "process 2: ended with signal 9 (SIGKILL), and"
    assert {f"{ended} is started again", f"{ended} was started again: it has not begun yet"} <= set(ill)
    assert [seen.restarts for seen in await roof.supervisor.look()] == [0, 1, 0]
    [told] = [record for record in caplog.records if getattr(record, "event", "") == "process_restarted"]
    assert told.__dict__["facts"] == {"process": 2, "ended": -9}


async def test_a_start_that_does_not_reach_a_table_is_tried_again_while_others_follow(tmp_path: Path) -> None:
    roof = Roof(tmp_path, "if process == 2 and runs < 3: sys.exit(3)\nfollow()", count=2)
    assert await roof.end(roof.healthy) == 0
    assert roof.begun.count("2") == 3


async def test_the_worst_of_their_exit_codes_is_the_whole_ones(tmp_path: Path) -> None:
    roof = Roof(tmp_path, "follow(code=(0, 6, 1)[process - 1])")
    assert await roof.end(roof.healthy) == 6


async def test_one_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "STOP_S", 0.3)
    deaf = "lifeline.tells(lambda: Told(True, [])); lifeline.begin(); signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    roof = Roof(tmp_path, f"if process == 2: {deaf}\nfollow()", count=2)
    assert await roof.end(roof.healthy) == 70


async def test_a_stop_ends_a_wait_for_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "after", lambda *_: Again(600.0, 1))
    roof = Roof(tmp_path, "os.kill(os.getpid(), 9)")

    async def waiting() -> bool:
        return any("is started again" in seen.trouble for seen in await roof.supervisor.look())

    assert await roof.end(waiting) == 0
    assert set(roof.begun) == {"1"}


async def test_what_cannot_be_started_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def twice() -> bool:
        return [getattr(record, "event", "") for record in caplog.records].count("process_not_started") == 2

    supervisor = Supervisor(Program([str(tmp_path / "none")], [], {}, pages=False), 2)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        run = group.create_task(supervisor.run())
        await _until(run, twice)
        supervisor.stop()
    assert run.result() == 0


def test_a_variable_of_somebody_else_is_refused() -> None:
    assert lifeline_of(None) is lifeline_of("") is None
    for text in ("1", "{}", '{"process": 1, "asks": 987, "answers": 988, "pages": true}'):
        with pytest.raises(Refused, match=f"^{VARIABLE} is for processes that --processes starts"):
            lifeline_of(text)
