"""A hook gets its variables and its exit code counts; cancelled, it does not stay behind."""

import asyncio
import time
from pathlib import Path

import pytest

from dynamirror.engines.hooks import run_hook


async def test_variables_and_exit_code(tmp_path: Path) -> None:
    environ = {"DYNAMIRROR_HOOK": "before", "PLACE": str(tmp_path / "out")}
    assert await run_hook('echo "$DYNAMIRROR_HOOK" > "$PLACE"; exit 7', environ) == 7
    assert (tmp_path / "out").read_text() == "before\n"


async def test_what_it_prints_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert await run_hook("echo said", {}) == 0
    assert capfd.readouterr() == ("", "said\n")


async def test_a_command_that_there_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    assert await run_hook("no-such-command-here", {"PATH": "/nowhere"}) == 127


async def test_cancelled_it_is_ended() -> None:
    begun_s = time.monotonic()
    hook = asyncio.create_task(run_hook("exec sleep 60", {"PATH": "/usr/bin:/bin"}))
    await asyncio.sleep(0.2)
    hook.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hook
    assert time.monotonic() - begun_s < 5
