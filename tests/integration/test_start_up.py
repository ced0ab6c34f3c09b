"""A start that is stopped, or cancelled, before it is over: it ends at once and leaves nothing running."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dynamirror import Replication, replication_settings


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
        source_table="A",
        source_endpoint=url,
        destination_region="us-east-1",
        destination_table="B",
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
