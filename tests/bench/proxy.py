"""The endpoint that tests give to the command instead of DynamoDB Local's."""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from dynamirror.errors import DynamirrorError
from tests.bench.answers import Answer, Refusal
from tests.bench.batches import Batch
from tests.bench.call import Call, call_of
from tests.bench.fan_out import RealStream
from tests.bench.faults import FaultPlan
from tests.bench.journal import Entry, Journal
from tests.bench.meter import Meter
from tests.bench.rolling import RollPlan, rolling
from tests.bench.shards import ManyShards
from tests.bench.signature import Credential, verify
from tests.bench.stream_service import StreamService
from tests.bench.strikes import strike
from tests.bench.upstream import Upstream
from tests.bench.wire import Gone, Wire


class Watcher:
    """Is told of each request, on the proxy's loop."""

    def asked(self, call: Call) -> None:
        """It is about to be carried out."""

    def answered(self, call: Call, got: Answer) -> None:
        """It was; not told of what the bench itself refuses."""


class FaultProxy:
    """`async with FaultProxy(local.url, {key: Credential("secret")}) as proxy:` serves on `proxy.url`.

    Without rules, metered tables and sharded streams it passes everything on. One event loop owns it.
    """

    def __init__(self, upstream: str, credentials: Mapping[str, Credential], seed: int = 0) -> None:
        self.url = ""
        self.credentials = dict(credentials)
        self.faults = FaultPlan(seed)
        self.meter = Meter(time.monotonic)
        self.journal = Journal()
        self.streams: list[ManyShards] = []
        # Writes that were answered with a reset and are still to be carried out.
        self.late_pending = 0
        self.watchers: list[Watcher] = []
        self._upstream = Upstream(upstream)
        self._services: dict[tuple[str, str], list[StreamService]] = {}
        self._stack = AsyncExitStack()
        self._stopping = False
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._upstream)
            stack.push_async_callback(self._stop)
            server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            stack.callback(server.close)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def shard_stream(self, place: tuple[str, str], arn: str, shards: int = 4, seed: int = 0) -> ManyShards:
        """Show the stream `arn` of DynamoDB Local as many shards; `place` is its database's access key and Region.

        Before anybody reads it through the proxy.
        """
        real = RealStream(self._upstream, place, arn)
        description = await real.describe()
        [hash_key] = [one["AttributeName"] for one in description["KeySchema"] if one["KeyType"] == "HASH"]
        stream = ManyShards(arn, shards, seed)
        self._services.setdefault(place, []).append(StreamService(stream, description, time.monotonic))
        self.streams.append(stream)
        self.run(real.feed(stream, hash_key))
        return stream

    def roll(self, stream: ManyShards, plan: RollPlan) -> "asyncio.Task[None]":
        """Roll and split shards of `stream` by a plan from now on, until the task is cancelled."""
        return self.run(rolling(stream, plan))

    def run(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run beside the requests, at most until the proxy ends. A failure is raised when it does."""
        task = asyncio.get_running_loop().create_task(work)
        self._open.add(task)
        return task

    async def answer(self, call: Call, entry: Entry, part: set[int] | None = None) -> Answer:
        """Carry out a request, or only these elements of a batch, as the service would without faults."""
        database = self.database_of(call)
        for watcher in self.watchers:
            watcher.asked(call)
        for service in self._services.get((database, call.region), ()):
            if service.answers(call):
                got = service.answer(call)
                break
        else:
            got = await self._forward(call, database, part)
        entry.performed_at_s = time.monotonic()
        for watcher in self.watchers:
            watcher.answered(call, got)
        return got

    def database_of(self, call: Call) -> str:
        """The access key that DynamoDB Local is given for this one."""
        return self.credentials[call.access_key].database or call.access_key

    async def _forward(self, call: Call, database: str, part: set[int] | None) -> Answer:
        part = self.meter.admitted(call, database, part)
        if part is None:
            got = await self._upstream.forward(call, database)
        else:
            batch = Batch(call)
            got = await self._upstream.forward(call, database, batch.body(part))
            got = batch.merged(got, part) if got.status == 200 else got
        self.meter.charge_read(call, database, got)
        return got

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        wire = Wire(reader, writer)
        try:
            while True:
                await self._serve(wire)
        except Gone:
            self._open.discard(task)
        except asyncio.CancelledError:
            # The server of asyncio would report it as a failure.
            if not self._stopping:
                raise
        finally:
            writer.close()

    async def _serve(self, wire: Wire) -> None:
        line, headers, body = await wire.request()
        call = call_of(headers, body)
        entry = self.journal.open(call, time.monotonic())
        try:
            verify(self.credentials, line.split(" ")[1], headers, body, time.time())
            await strike(self, wire, call, entry)
        except Refusal as refusal:
            entry.answered(refusal.answer)
            await wire.send(refusal.answer)
        except DynamirrorError as error:
            # DynamoDB Local itself does not answer: no more do we.
            entry.error = type(error).__name__
            wire.reset()
        finally:
            entry.ended_at_s = time.monotonic()

    async def _stop(self) -> None:
        self._stopping = True
        open_now = [task for task in self._open if task is not asyncio.current_task()]
        for task in open_now:
            task.cancel()
        outcomes = await asyncio.gather(*open_now, return_exceptions=True)
        failures = [one for one in outcomes if isinstance(one, Exception)]
        if failures:
            raise ExceptionGroup("the bench itself failed", failures)
