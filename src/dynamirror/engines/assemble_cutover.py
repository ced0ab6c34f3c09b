"""Joins the sides of a cut-over: real clock, real tables, the operator. What the command calls."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from dynamirror.aws.connect import Connections, connect
from dynamirror.engines.assemble import SystemClock, jitter
from dynamirror.engines.assemble_verify import Verified
from dynamirror.engines.attempts import patiently
from dynamirror.engines.cutover import Cutover
from dynamirror.engines.cutover_look import Fit, look
from dynamirror.engines.cutover_options import CutoverOptions, CutoverResult, CutoverTools
from dynamirror.engines.hooks import run_hook
from dynamirror.engines.launch import fastest_loop
from dynamirror.engines.reverse_command import reverse_settings
from dynamirror.engines.until_signal import until_signal
from dynamirror.engines.verify_options import VerifyOptions, VerifyResult
from dynamirror.engines.verify_report import Report
from dynamirror.engines.verify_run import Told, compare, lives_of
from dynamirror.engines.verify_state import parked_items
from dynamirror.engines.waiting import aloud
from dynamirror.errors import Retry, Side, Stop, Unmet
from dynamirror.model.parked import Parked
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings

# Asks the operator, blocking.
Ask = Callable[[str], bool]

log = logging.getLogger("dynamirror.cutover")


def run_cutover(
    settings: ReplicationSettings, environ: Mapping[str, str], options: CutoverOptions, ask: Ask | None
) -> CutoverResult | None:
    """The result; None: a signal ended it. For a caller without a loop. Raises DynamirrorError, in a group perhaps."""
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(until_signal(_cutover(settings, environ, options, ask)))


async def _cutover(
    settings: ReplicationSettings, environ: Mapping[str, str], options: CutoverOptions, ask: Ask | None
) -> CutoverResult:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        connections = await aloud("credentials", stack.enter_async_context(connect(settings, environ, clock, jitter())))
        async with asyncio.TaskGroup() as group:
            fresh = group.create_task(connections.keep_fresh())
            try:
                log.info("look: is the task fit for a cut-over?", extra={"event": "step_began", "facts": {}})
                began_ms = int(clock.wall_s() * 1000)
                fit = await look(connections, settings, options, clock, lambda: connections.streams.served_s)
                log.info("look: %s", fit.said, extra={"event": "step_ended", "facts": {"step": "look"}})
                hands = _Hands(connections, settings, environ, clock, fit)
                cutover = Cutover(hands.tools(ask), settings, options)
                cutover.looked(began_ms, fit.said)
                result = await cutover.run()
            finally:
                fresh.cancel()
        return result


class _Hands:
    """What the steps do, each by itself."""

    def __init__(
        self,
        connections: Connections,
        settings: ReplicationSettings,
        environ: Mapping[str, str],
        clock: Clock,
        fit: Fit,
    ) -> None:
        self._connections = connections
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._fit = fit

    def tools(self, ask: Ask | None) -> CutoverTools:
        """All of it."""
        fit = self._fit
        return CutoverTools(
            fit.view,
            self._duties,
            fit.stream_arn,
            fit.stream_off,
            self._stream_now,
            self._switch_off,
            self._switch_reverse_on,
            self._compare,
            self._parked,
            self._gaps,
            lambda command, facts: run_hook(command, {**self._environ, **facts}),
            _in_thread(ask) if ask is not None else None,
            write_report,
        )

    async def _duties(self) -> int:
        return len(await self._fit.state.table.duties())

    async def _parked(self) -> Sequence[Parked]:
        return await parked_items(self._fit.state.parked, self._clock)

    async def _gaps(self) -> int:
        return len(await patiently(self._clock, "the gaps", self._fit.state.gaps.gaps))

    async def _stream_now(self) -> str | None:
        facts = await self._connections.source_control.describe_table(self._settings.source.table)
        return facts.stream_arn

    async def _switch_off(self) -> None:
        table = self._settings.source.table
        await aloud(f"switching the stream of {table} off", self._connections.source_control.disable_stream(table))

    async def _switch_reverse_on(self) -> None:
        """With the connections of the way back, which read streams on the destination's side and call it a source."""
        table = self._settings.destination.table
        try:
            async with connect(reverse_settings(self._settings), self._environ, self._clock, jitter()) as back:
                await aloud(f"switching the stream of {table} on", back.source_control.enable_stream(table))
        except (Stop, Retry) as error:
            raise Stop(
                Side.DESTINATION,
                f"--prepare-reverse: the destination table {table} as the source of the way back: {error}",
            ) from error

    async def _compare(self, options: VerifyOptions) -> VerifyResult:
        fit = self._fit
        lives = await lives_of(self._connections, self._settings, self._clock)
        report = Report(None, self._clock.wall_s)
        facts = Verified(fit.source, fit.destination, lives, fit.state)
        return await compare(self._connections, self._settings, options, facts, Told(report))


def _in_thread(ask: Ask) -> Callable[[str], Awaitable[bool]]:
    async def asked(question: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(None, ask, question)

    return asked


def write_report(path: Path, text: str) -> None:
    """Raises Unmet when the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unmet(
            f"the report cannot be written to {path}: {error.strerror}; everything before it is done, but --hook-after "
            "was not called: start the same command again with another --report"
        ) from error
