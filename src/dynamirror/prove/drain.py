"""What a cut-over waits for: little lag, then a drain, exact or as good as an open stream allows."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dynamirror.errors import Retry, Unmet
from dynamirror.model.cutover import View, left_to_drain, to_reconcile
from dynamirror.model.shard_graph import Listing
from dynamirror.prove.stream_view import LagWatch, ViewTools

LOOK_EVERY_S = 1.0
# A stream of many shards takes seconds to list, and all readers share the rate of it.
LIST_EVERY_S = 5.0
# One look under the bound may be an empty page that proves nothing.
LOOKS_UNDER = 3
# A child may be listed late: so long after the first listing that shows nothing left, a second one has to.
SETTLED_S = 5.0
SAY_EVERY_S = 5.0

log = logging.getLogger("dynamirror.cutover")


@dataclass(frozen=True, slots=True)
class Look:
    """One look. `lag_s`: None where shards were not read. `waits`: a change behind a checkpoint was seen."""

    view: View
    lag_s: float | None
    waits: bool
    duties: int


class Waits:
    """Each wait ends by itself after `timeout_s`, with Unmet; it changes nothing."""

    def __init__(self, tools: ViewTools, duties: Callable[[], Awaitable[int]], timeout_s: float) -> None:
        """`duties`: how many items wait to be reconciled."""
        self._tools = tools
        self._duties = duties
        self._timeout_s = timeout_s
        self._clock = tools.clock
        self._watch = LagWatch(tools)
        self._listing: Listing | None = None
        self._listed_s = 0.0
        self._began_s = self._said_s = 0.0

    async def lag_under(self, max_s: float) -> float:
        """Wait until the lag stays at `max_s` or less, and no item waits to be reconciled; returns it.

        An item that the destination refuses waits for ever: better found now than when the writers are stopped. Raises
        Unmet, Stop.
        """
        self._begin()
        under = 0
        while True:
            look = await self._look(lag=True)
            lag_s = look.lag_s or 0.0 if look is not None else 0.0
            left = self._too_early(look, max_s)
            under = 0 if left else under + 1
            if under >= LOOKS_UNDER:
                return lag_s
            await self._next(", ".join(left) or f"the lag is {lag_s:.0f} s", f"--max-lag {max_s:g}s")

    def _too_early(self, look: Look | None, max_s: float) -> list[str]:
        """What keeps the writers from being stopped; empty: nothing."""
        if look is None:
            return ["the lag is not known"]
        late = (look.lag_s or 0.0) > max_s
        left = [f"the lag is {look.lag_s:.0f} s"] if late else []
        if lacking := self._without_lease(look.view):
            left.append(f"{len(lacking)} shards without a lease ({lacking[0]})")
        return left + ([to_reconcile(look.duties)] if look.duties else [])

    async def drained(self) -> View:
        """Wait until two listings show nothing left to apply. Raises Unmet, Stop."""
        self._begin()
        while True:
            look = await self._look(lag=False)
            for pause_s in (0.0, SETTLED_S):
                if look is not None and not self._left(look):
                    await self._clock.sleep(pause_s)
                    look = await self._look(lag=False, afresh=True)
            left = self._left(look)
            if look is not None and not left:
                return look.view
            await self._next(", ".join(left), "the drain's end")

    async def quiet(self, quiet_s: float) -> View:
        """Wait until nothing has come behind any checkpoint for so long. Raises Unmet, Stop."""
        self._begin()
        since_s: float | None = None
        while True:
            look = await self._look(lag=True)
            now_s = self._clock.boottime_s()
            noise = self._noise(look)
            since_s = None if noise else since_s if since_s is not None else now_s
            if look is not None and since_s is not None and now_s - since_s >= quiet_s:
                return look.view
            await self._next(noise or f"quiet for {now_s - (since_s or now_s):.0f} s", f"--quiet {quiet_s:g}s")

    def _left(self, look: Look | None) -> list[str]:
        if look is None:
            return ["the stream or the leases could not be read"]
        return left_to_drain(look.view, look.duties, self._now_ms, self._tools.stream.retention_ms)

    def _noise(self, look: Look | None) -> str:
        """What still happens; empty: nothing."""
        if look is None:
            return "the stream or the leases could not be read"
        closed = {shard.id for shard in look.view.listing.shards if not shard.open}
        behind = [row.shard_id for row in look.view.unfinished if row.shard_id in closed]
        if look.waits or behind or look.duties or self._without_lease(look.view):
            duties = f"; {to_reconcile(look.duties)}" if look.duties else ""
            return f"changes wait to be applied, the oldest for {look.lag_s or 0.0:.0f} s{duties}"
        return ""

    def _without_lease(self, view: View) -> list[str]:
        return view.without_lease(self._now_ms, self._tools.stream.retention_ms)

    async def _look(self, *, lag: bool, afresh: bool = False) -> Look | None:
        """None, and said, when something could not be read now."""
        now_s = self._clock.boottime_s()
        try:
            if afresh or self._listing is None or now_s - self._listed_s >= LIST_EVERY_S:
                self._listing, self._listed_s = await self._tools.stream.list_shards(), now_s
            view = await self._tools.view(self._listing)
            lag_s = await self._watch.look(view.leases) if lag else None
            return Look(view, lag_s, lag and self._watch.waits, await self._duties())
        except Retry as error:
            log.warning("trying again: %s", error, extra={"event": "cutover_retry", "facts": {}})
            return None

    def _begin(self) -> None:
        self._began_s = self._said_s = self._clock.boottime_s()

    async def _next(self, said: str, wanted: str) -> None:
        now_s = self._clock.boottime_s()
        if now_s - self._began_s >= self._timeout_s:
            raise Unmet(
                f"{wanted} was not reached in {self._timeout_s:g} s (--timeout): {said}; look at the workers' logs, "
                "then start the same command again"
            )
        if now_s - self._said_s >= SAY_EVERY_S:
            self._said_s = now_s
            log.info("waiting for %s: %s", wanted, said, extra={"event": "cutover_waiting", "facts": {"left": said}})
        await self._clock.sleep(LOOK_EVERY_S)

    @property
    def _now_ms(self) -> int:
        return int(self._tools.now_s() * 1000)
