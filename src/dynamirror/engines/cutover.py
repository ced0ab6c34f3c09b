"""A cut-over, step by step (docs/decisions/0013): each step looks at what is there, so that it can be begun again."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any

import msgspec

from dynamirror import __version__
from dynamirror.engines.cutover_options import CutoverOptions, CutoverResult, CutoverTools, verified, would_do
from dynamirror.engines.reverse_command import reverse_command, reverse_values
from dynamirror.engines.table_checks import VIEW_TYPE, stream_command
from dynamirror.engines.verify_options import VerifyOptions
from dynamirror.errors import ExitCode, Unmet
from dynamirror.model.cutover import against
from dynamirror.model.cutover_report import (
    Findings,
    StepTime,
    drain_of,
    moment,
    parked_of,
    steps_of,
    with_digest,
)
from dynamirror.model.shard_graph import RETENTION_MS
from dynamirror.model.task_name import LEASE_TABLE_PREFIX
from dynamirror.prove.drain import Waits
from dynamirror.settings.groups import ReplicationSettings

# After an exact drain both tables rest, and a difference stays one; else replication may still be at work.
PATIENCE_AT_REST_S = 20.0
PATIENCE_S = 60.0
# Stamps are rounded and clocks differ; what goes back although the source has it does no harm.
REVERSE_SLACK_S = 60
QUESTION = "stop all writers of the source now; are they stopped, continue?"

log = logging.getLogger("dynamirror.cutover")


@dataclass(slots=True)
class _Said:
    """What a step has to say at its end."""

    text: str = "done"


class Cutover:
    """One run."""

    def __init__(self, tools: CutoverTools, settings: ReplicationSettings, options: CutoverOptions) -> None:
        self._tools = tools
        self._settings = settings
        self._options = options
        self._clock = tools.view.clock
        self._times: list[StepTime] = []
        self._found = Findings()
        self._waits = Waits(tools.view, tools.duties, options.timeout_s)
        self._closing = options.disable_stream or tools.stream_off
        # Since when nobody writes, as was said.
        self._stopped_s = 0.0

    def looked(self, began_ms: int, said: str) -> None:
        """The look, which is over before anything can be put together."""
        self._times.append(StepTime("look", began_ms, int(self._clock.wall_s() * 1000) - began_ms, said))

    async def run(self) -> CutoverResult:
        """All steps. Raises Unmet, Stop."""
        options = self._options
        await self._reverse()
        await self._lag()
        await self._tell_parked()
        if options.dry_run:
            return self._would()
        await self._writers()
        await self._switch()
        await self._drain()
        against = await self._verify()
        document, path = self._report()
        if options.hook_after is not None:
            if against:
                log.warning("--hook-after is not called: %s", against, extra={"event": "hook_skipped", "facts": {}})
            else:
                await self._after(options.hook_after, path)
        return CutoverResult(document, path, ExitCode.DIFFERS if against else ExitCode.OK)

    async def _reverse(self) -> None:
        """Before the lag is waited for: switching a stream on may take a minute."""
        if not self._options.prepare_reverse or self._options.dry_run:
            return
        with self._step("reverse", "the destination's stream is switched on") as said:
            await self._tools.switch_reverse_on()
            said.text = "it can be read"

    async def _lag(self) -> None:
        if self._tools.stream_off:
            log.info("the stream is off already: going on with the drain", extra={"event": "stream_off", "facts": {}})
            return
        most_s = self._options.max_lag_s
        with self._step("lag", f"waiting until it is {most_s:g} s or less") as said:
            self._found.lag_s = await self._waits.lag_under(most_s)
            said.text = f"{self._found.lag_s:.1f} s"

    async def _tell_parked(self) -> None:
        """While it can still be mended: nobody has stopped writing yet."""
        self._found.parked = await self._tools.parked()
        if self._found.parked:
            log.warning(
                "%d items are parked, the destination has refused them; what of them differs ends the cut-over with 1: "
                "see dynamirror parked list, and parked retry",
                len(self._found.parked),
                extra={"event": "items_are_parked", "facts": {"items": len(self._found.parked)}},
            )

    async def _writers(self) -> None:
        command = self._options.hook_before
        with self._step("writers", "they are stopped" if command else "they are to be stopped") as said:
            if command is not None:
                code = await self._tools.hook(command, self._facts("before"))
                if code != 0:
                    raise Unmet(f"--hook-before ended with {code}: {self._untouched}")
                said.text = "--hook-before ended with 0"
            elif self._options.writers_stopped:
                said.text = "stopped, as --writers-stopped says"
            else:
                assert self._tools.ask is not None, "refused before the first step"
                if not await self._tools.ask(QUESTION):
                    raise Unmet(f"ended as answered: {self._untouched}")
                said.text = "stopped, as answered"
        self._stopped_s = self._tools.view.now_s()

    @property
    def _untouched(self) -> str:
        """What stands until the switch."""
        if self._options.prepare_reverse:
            return "nothing was changed but that the destination's stream is on"
        return "nothing was changed at the tables"

    async def _switch(self) -> None:
        if not self._options.disable_stream or self._tools.stream_off:
            return
        await self._same_stream(self._tools.stream_arn)
        again = stream_command(self._settings.source, f"StreamEnabled=true,StreamViewType={VIEW_TYPE}")
        log.info(
            "the source's stream is switched off, which closes its shards; other readers lose it. To switch it on "
            "again, as a new stream: %s",
            again,
            extra={"event": "switch_back", "facts": {"command": again}},
        )
        with self._step("switch", "the source's stream is switched off") as said:
            await self._tools.switch_off()
            said.text = "off"

    async def _drain(self) -> None:
        quiet_s = self._options.quiet_s
        what = "to the end of every shard" if self._closing else f"until nothing comes for {quiet_s:g} s"
        with self._step("drain", what) as said:
            found = self._found
            found.drained = await (self._waits.drained() if self._closing else self._waits.quiet(quiet_s))
            found.exact = self._closing
            if found.exact:
                await self._same_stream(None)
            found.drained_ms = int(self._tools.view.now_s() * 1000)
            drain = drain_of(found)
            said.text = f"{'exact' if found.exact else 'not exact'}: {drain['proof']} ({len(drain['shards'])} shards)"

    async def _same_stream(self, arn: str | None) -> None:
        """Off, or the one named. Raises Unmet: an exact drain of one stream says nothing of the changes in another."""
        now = await self._tools.stream_now()
        if now not in (None, arn):
            raise Unmet(
                f"the source's stream was switched on anew meanwhile ({now}), and what is written goes there: have the "
                "writers stopped, and workers follow it, then start the same command again"
            )

    async def _verify(self) -> str | None:
        """What speaks against starting the writers; None: nothing that was looked at."""
        options = self._options
        self._found.parked = await self._tools.parked()
        if options.verify == "none":
            self._found.verify = {"mode": "none", "keys": 0, "differing": 0, "unsettled": 0}
        else:
            since_s = None if options.verify == "full" else self._since_s()
            what = (
                "whole tables" if since_s is None else f"keys changed in the last {since_s:.0f} s, and what is parked"
            )
            with self._step("verify", what) as said:
                patience_s = PATIENCE_AT_REST_S if self._found.exact else PATIENCE_S
                result = await self._tools.compare(VerifyOptions(since_s=since_s, patience_s=patience_s))
                self._found.verify = verified(result, options.verify, since_s)
                said.text = "{keys} keys compared, {differing} differ".format_map(self._found.verify)
        self._found.gaps = await self._tools.gaps()
        return against(self._found.verify, len(self._found.parked), self._found.gaps)

    def _since_s(self) -> float:
        """Counted from the writers' stop: however long the drain took, the last changes are compared.

        Where the stream was off before, they had stopped nobody knows when, perhaps on a run that has found
        differences: then all that the stream still names.
        """
        if self._tools.stream_off:
            return RETENTION_MS / 1000
        return self._options.since_s + self._tools.view.now_s() - self._stopped_s

    def _report(self) -> tuple[Mapping[str, Any], Path]:
        path = self._options.report or Path(f"cutover-{self._task}-{_stamp(self._clock.wall_s())}.json")
        if self._options.prepare_reverse:
            start_at = moment((floor(self._found.drained_ms / 1000) - REVERSE_SLACK_S) * 1000)
            command = reverse_command(reverse_values(self._settings), start_at)
            self._found.reverse = {"start_at": start_at, "command": command}
        document = with_digest(self._document())
        self._tools.write(path, msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
        log.info("report: %s", path, extra={"event": "cutover_report", "facts": {"file": str(path)}})
        return document, path

    async def _after(self, command: str, path: Path) -> None:
        with self._step("after", "--hook-after is called") as said:
            found = self._found
            facts = {
                "DYNAMIRROR_EXACT": "true" if found.exact else "false",
                "DYNAMIRROR_DIFFERING": str(found.verify["differing"]),
                "DYNAMIRROR_REPORT": str(path),
            }
            code = await self._tools.hook(command, self._facts("after") | facts)
            if code != 0:
                raise Unmet(
                    f"--hook-after ended with {code}; everything before it is done, and the report is in {path}"
                )
            said.text = "ended with 0"

    def _would(self) -> CutoverResult:
        """What a run would do, said and not done."""
        would = would_do(self._options, stream_off=self._tools.stream_off)
        document = self._head() | {"dry_run": True, "parked": parked_of(self._found), "would": would}
        return CutoverResult(document, None, ExitCode.OK)

    def _document(self) -> dict[str, Any]:
        found = self._found
        return self._head() | {
            "ended": moment(int(self._clock.wall_s() * 1000)),
            "drain": drain_of(found),
            "verify": dict(found.verify),
            "parked": parked_of(found),
            "gaps": found.gaps,
            "reverse": found.reverse,
        }

    def _head(self) -> dict[str, Any]:
        source, destination, lag_s = self._settings.source, self._settings.destination, self._found.lag_s
        return {
            "version": __version__,
            "task": self._task,
            "source": {"region": source.region, "table": source.table},
            "destination": {"region": destination.region, "table": destination.table},
            "stream": self._tools.stream_arn,
            "steps": steps_of(self._times),
            "lag_ms": None if lag_s is None else round(lag_s * 1000),
        }

    @property
    def _task(self) -> str:
        return self._settings.task.lease_table.removeprefix(LEASE_TABLE_PREFIX)

    def _facts(self, hook: str) -> dict[str, str]:
        """The variables of a hook; a dynamirror that it calls finds the pair by them."""
        source, destination, lag_s = self._settings.source, self._settings.destination, self._found.lag_s
        return {
            "DYNAMIRROR_HOOK": hook,
            "DYNAMIRROR_SOURCE_REGION": source.region,
            "DYNAMIRROR_SOURCE_TABLE": source.table,
            "DYNAMIRROR_DESTINATION_REGION": destination.region,
            "DYNAMIRROR_DESTINATION_TABLE": destination.table,
            "DYNAMIRROR_STREAM_ARN": self._tools.stream_arn,
            "DYNAMIRROR_LAG_MS": "" if lag_s is None else str(round(lag_s * 1000)),
        }

    @contextmanager
    def _step(self, name: str, what: str) -> Iterator[_Said]:
        log.info("%s: %s", name, what, extra={"event": "step_began", "facts": {"step": name}})
        began_ms, began_s, said = int(self._clock.wall_s() * 1000), self._clock.boottime_s(), _Said()
        yield said
        took_ms = round((self._clock.boottime_s() - began_s) * 1000)
        self._times.append(StepTime(name, began_ms, took_ms, said.text))
        facts = {"step": name, "took_ms": took_ms}
        log.info("%s: %s, %.1f s", name, said.text, took_ms / 1000, extra={"event": "step_ended", "facts": facts})


def _stamp(wall_s: float) -> str:
    return moment(int(wall_s * 1000)).replace("-", "").replace(":", "")
