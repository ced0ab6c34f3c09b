"""What a replication tells of itself while it runs: to CloudWatch, and on the pages of --http; each in a thread."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dynamirror.errors import Refused
from dynamirror.model.health import Problem
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import Clock
from dynamirror.settings.groups import Address, ReplicationSettings

if TYPE_CHECKING:
    from dynamirror.observe.page import Figures

# The last round of metrics, after an orderly stop. The steps of a stop before it take 4.8 s at most, seldom 1.
LAST_ROUND_S = 1.0

log = logging.getLogger("dynamirror")


@asynccontextmanager
async def told(
    settings: ReplicationSettings, metrics: Metrics, clock: Clock, health: Callable[[], list[Problem] | None]
) -> AsyncIterator[None]:
    """While the block runs. Raises Refused: a port in use, an endpoint that is none."""
    where = settings.metrics
    async with served(where.http, metrics, health):
        if where.cloudwatch is None:
            yield
            return
        from dynamirror.engines.publishing import publisher

        publishes = publisher(where.cloudwatch, settings.task, metrics, clock)
        publishes.start()
        try:
            yield
        finally:
            # In a thread: whatever else ends meanwhile is not held up.
            await asyncio.to_thread(publishes.stop, LAST_ROUND_S)


@asynccontextmanager
async def served(
    address: Address | None, figures: "Figures", health: Callable[[], list[Problem] | None]
) -> AsyncIterator[None]:
    """The two pages, while the block runs; None: none. Raises Refused."""
    if address is None:
        yield
        return
    from dynamirror.observe.page import page_server

    try:
        server = await asyncio.to_thread(page_server, address.host, address.port, figures.registry, health)
    except OSError as error:
        raise Refused(
            f"--http {address}: cannot be listened on ({error.strerror}); give a port that is free"
        ) from error
    # How soon it notices that it is to end.
    threading.Thread(target=server.serve_forever, args=(0.1,), name="pages", daemon=True).start()
    log.info("serving http://%s/metrics and /healthz", address, extra={"event": "http_serving", "facts": {}})
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
