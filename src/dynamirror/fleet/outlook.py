"""What a worker sees of the others: lease rows and heartbeats, and when it has to look again."""

from collections.abc import Mapping

from dynamirror.model.lease import Lease
from dynamirror.model.lease_plan import Fleet, Patience, Watch, expired, fleet, left_s, that_count
from dynamirror.model.worker_row import WorkerRow
from dynamirror.ports import Clock, LeaseStore
from dynamirror.settings.groups import LeaseSettings
from dynamirror.state_ports import StateStore

# After the moment at which an owner may have expired.
LOOK_AGAIN_S = 0.2


class Outlook:
    """`look` again and again; in between it is what was seen last. `state` None: lease rows are all there is.

    `rows`: those that count (model/lease_plan), after `first` all.
    """

    def __init__(
        self, leases: LeaseStore, state: StateStore | None, clock: Clock, settings: LeaseSettings, me: str
    ) -> None:
        self.rows: list[Lease] = []
        self.workers: Mapping[str, WorkerRow] = {}
        self.watch = Watch()
        self.patience = Patience(settings.duration_s, settings.java_patience_s)
        self._leases = leases
        self._state = state
        self._clock = clock
        self._settings = settings
        self._me = me
        self._scanned_at_s = float("-inf")
        # A worker has retired since the last scan.
        self._retired = False

    def __repr__(self) -> str:
        return f"Outlook({self._me}, rows={len(self.rows)}, workers={sorted(self.workers)})"

    def outdate(self) -> None:
        """The rows are not what they were: the next look reads them."""
        self._scanned_at_s = float("-inf")

    async def first(self) -> None:
        """The rows alone. Raises Retry."""
        self.rows = await self._leases.scan()

    async def look(self) -> list[Lease] | None:
        """Heartbeats each time, rows when they may have changed or somebody may have died; all rows where they were
        read. Raises Retry."""
        if self._state is not None:
            asked_at_s = self._clock.boottime_s()
            workers = await self._state.workers()
            if not self.watch.beats.keys() <= workers.keys():  # What it released is free.
                self._retired = True
                self.outdate()
            self.workers = workers
            beats = {name: row.counter for name, row in workers.items()}
            self.watch.askable = frozenset(name for name, row in workers.items() if row.lease_ms is not None)
            self.watch.see_beats(beats, asked_at_s, self._clock.boottime_s())
        asked_at_s = self._clock.boottime_s()
        if asked_at_s - self._scanned_at_s < self._scan_every_s() and not self._anyone_expired():
            return None
        # Seen once: a row that still names it in a reading that lags behind would be left to it for 80 s, and be read
        # again 10 s later.
        every = await self._leases.scan(consistent=self._retired)
        self._retired = False
        self.rows = that_count(every)
        self._scanned_at_s = self._clock.boottime_s()
        self.watch.see_leases(self.rows, asked_at_s, self._scanned_at_s, self._leases.unreadable)
        return every

    def fleet(self) -> Fleet:
        """Who lives, by what was seen last."""
        return fleet(self.rows, self.watch, self.patience, self._me)

    def pause_s(self) -> float:
        """Look again when the first owner may have expired, at the latest after the watch period."""
        pause_s = self._settings.watch_s
        for row in self.rows:
            if row.terms_in_force is not None and row.owner != self._me and not row.finished:
                left = left_s(row, self.watch, self.patience)
                # One that has expired and is not wanted here is left to the others, at the usual pace.
                if left is not None and left >= 0:
                    pause_s = min(pause_s, left + LOOK_AGAIN_S)
        return pause_s

    def _anyone_expired(self) -> bool:
        return any(
            expired(row, self.watch, self.patience)
            for row in self.rows
            if row.owner not in (None, self._me) and not row.finished
        )

    def _scan_every_s(self) -> float:
        heartbeats = self._state is not None and all(
            terms is None or terms.heartbeat for terms in (row.terms_in_force for row in self.rows)
        )
        return self._settings.scan_s if heartbeats else self._settings.duration_s / 3
