"""Keeps the row of a verify in step with its ledger, so that a restart goes on where this one ends."""

import logging
from collections.abc import Callable
from dataclasses import replace

from dynamirror.errors import ConditionFailed, Retry, Side, Stop
from dynamirror.model.backoff import Backoff
from dynamirror.model.verify import VerifyRun
from dynamirror.ports import Clock
from dynamirror.prove.ledger import Ledger
from dynamirror.state_ports import VerifyStore

SAVE_EVERY_S = 1.0
RETRY = Backoff(first_s=0.2, most_s=5.0)

log = logging.getLogger("dynamirror.verify")


class RunKeeper:
    """The only writer of the row, unless another verify of the task takes it over."""

    def __init__(self, store: VerifyStore, clock: Clock, random: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        # The row as it stands; None: there is none.
        self._row: VerifyRun | None = None
        # What was sent since, and may have been applied unseen.
        self._sent: list[VerifyRun] = []
        self._begun_at_s = 0.0
        self._spent_before_s = 0

    async def begin(self, wanted: VerifyRun) -> VerifyRun:
        """The run to carry out: the one in the row, if it is not over and has the same words; else `wanted`, which
        is saved. Raises Retry, Stop."""
        self._begun_at_s = self._clock.boottime_s()
        self._row = await self._store.run()
        if self._row is not None and not self._row.over and self._row.words == wanted.words:
            self._spent_before_s = self._row.spent_s
            # Whoever has it still learns from the row's version that it is another's now.
            return await self._save(self._row)
        self._spent_before_s = 0
        return await self._save(wanted)

    async def run(self, ledger: Ledger) -> None:
        """Save what is done, until cancelled. Raises Stop."""
        attempt = 0
        while True:
            await self._clock.sleep(SAVE_EVERY_S if not attempt else RETRY.delay_s(attempt, self._random))
            try:
                if self._row is None or ledger.run.done != self._row.done:
                    await self._save(ledger.run)
                attempt = 0
            except Retry as error:
                if attempt % 10 == 0:
                    log.warning(
                        "saving how far the verify is: %s; trying again",
                        error,
                        extra={"event": "verify_save_retry", "facts": {"attempt": attempt}},
                    )
                attempt += 1

    async def end(self, ledger: Ledger, *, over: bool) -> None:
        """Save the last state; with `run` not running any more. Raises Retry, Stop."""
        await self._save(replace(ledger.run, over=over))

    @property
    def spent_s(self) -> int:
        """What all starts of the run have spent."""
        return self._spent_before_s + round(self._clock.boottime_s() - self._begun_at_s)

    async def _save(self, run: VerifyRun) -> VerifyRun:
        before = self._row
        wanted = replace(run, spent_s=self.spent_s, version=1 if before is None else before.version + 1)
        self._sent.append(wanted)
        try:
            await self._store.put_run(wanted, before)
        except ConditionFailed:
            now = await self._store.run()
            if now is None or now not in self._sent:
                raise Stop(
                    Side.STATE,
                    "another verify of this task has begun, or has taken this one over: one at a time; start again "
                    "when it is over, or give another --task-name",
                ) from None
            wanted = now
        self._row = wanted
        self._sent.clear()
        return wanted
