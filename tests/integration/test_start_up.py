"""A start that is stopped, or cancelled, before it is over: it ends at once and leaves nothing running."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dynamirror import Replication, replication_settings
from tests.support.command import Command, bare_environ, wait_until


@asynccontextmanager
async def mute() -> AsyncIterator[str]:
    """An endpoint that takes requests and never answers."""
    callers: list[asyncio.StreamWriter] = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)
        await reader.read()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in callers:
            writer.close()


def replication(url: str, monkeypatch: pytest.MonkeyPatch) -> Replication:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = replication_settings(
        source_region="us-east-1",
        source_table="Orders",
        source_endpoint=url,
        destination_region="us-east-1",
        destination_table="Copy",
        destination_endpoint=url,
    )
    return Replication(settings, os.environ)


async def test_a_stop_during_the_start_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mute() as url:
        starting = replication(url, monkeypatch)
        asyncio.get_running_loop().call_later(0.5, starting.stop)
        async with asyncio.timeout(10), starting:
            assert not starting.started
            await starting.wait()


async def test_a_start_that_is_cancelled_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mute() as url:
        before = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), replication(url, monkeypatch):
                raise AssertionError("it was entered")
        running = {task for task in asyncio.all_tasks() - before if "_run" in repr(task)}
        assert not running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.3, 0.6, 1.5])
async def test_a_signal_at_any_moment_of_the_start_is_an_orderly_stop(
    number: signal.Signals, after_s: float, tmp_path: Path
) -> None:
    async with mute() as url:
        pair = ["--source-table", "Orders", "--destination-table", "Copy", "--source-endpoint", url]
        regions = ["--source-region", "us-east-1", "--destination-region", "us-east-1", "--destination-endpoint", url]
        with (tmp_path / "out").open("wb") as output:
            # From its first line on: while the interpreter starts the operating system decides, and that may take long.
            code = (
                "import os, sys; from dynamirror import __main__; from dynamirror.cli import early; "
                "listen = early.listen; early.listen = lambda words: (listen(words), os.write(1, b'here')); "
                "sys.exit(__main__.main())"
            )
            command = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                code,
                "replicate",
                *pair,
                *regions,
                env=bare_environ("AKIDEXAMPLE"),
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
            )
            assert command.stdout is not None
            await command.stdout.readexactly(4)
            await asyncio.sleep(after_s)
            command.send_signal(number)
            async with asyncio.timeout(10):
                assert await command.wait() == 0
        assert "Traceback" not in (tmp_path / "out").read_text()


async def test_a_stop_does_not_wait_for_whoever_looks_for_credentials(tmp_path: Path) -> None:
    looking = tmp_path / "looking"
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = sh -c 'touch {looking}; exec sleep 50'\n")
    environ = bare_environ("") | {"AWS_CONFIG_FILE": str(config)}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del environ[name]
    pair = ["--source-table", "Orders", "--destination-table", "Copy"]
    regions = ["--source-region", "us-east-1", "--destination-region", "us-east-2"]
    with Command(["replicate", *pair, *regions], tmp_path / "out", environ) as command:
        wait_until(looking.exists, 30, command)
        code, took_s = command.terminate()
    assert code == 0
    assert took_s < 20
