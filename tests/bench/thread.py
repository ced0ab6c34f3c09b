"""The proxy for tests that are not asynchronous: it runs in a thread, with an event loop of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from tests.bench.proxy import FaultProxy
from tests.bench.shards import ManyShards
from tests.bench.signature import Credential

P = ParamSpec("P")
T = TypeVar("T")

_CALL_S_MAX = 30.0


class ProxyThread:
    """`with ProxyThread(local.url, {key: Credential("secret")}) as bench:`; then `bench.proxy`, `bench.url`.

    Rules may be added and the journal read from any thread; whatever else changes the proxy or a stream goes
    through `do`.
    """

    def __init__(self, upstream: str, credentials: Mapping[str, Credential], seed: int = 0) -> None:
        self._arguments = (upstream, credentials, seed)
        self._started: Future[FaultProxy] = Future()
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        self.proxy: FaultProxy
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.proxy = self._started.result(_CALL_S_MAX)
        self.url = self.proxy.url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_CALL_S_MAX)
        if self._failure is not None:
            raise self._failure

    def do(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call` on the proxy's own thread; its result, or its exception."""

        async def called() -> T:
            return call(*args, **kwargs)

        return self.wait(called())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the proxy's loop; its result, or its exception."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S_MAX)

    def shard_stream(self, place: tuple[str, str], arn: str, shards: int = 4, seed: int = 0) -> ManyShards:
        """See FaultProxy."""
        return self.wait(self.proxy.shard_stream(place, arn, shards, seed))

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as failure:
            if not self._started.done():
                self._started.set_exception(failure)
                return
            self._failure = failure
            if not isinstance(failure, Exception):
                raise

    async def _main(self) -> None:
        upstream, credentials, seed = self._arguments
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        async with FaultProxy(upstream, credentials, seed) as proxy:
            self._started.set_result(proxy)
            await self._end.wait()
