"""Joins the sides of the demo: this terminal, the machine's clocks, an embedded database, the real worker."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dynamirror.aws.connect import connect
from dynamirror.aws.service import Service
from dynamirror.engines.assemble import SystemClock
from dynamirror.engines.demo import DemoOptions
from dynamirror.engines.demo.facts import ACCESS_KEY, DESTINATION_REGION, SECRET_KEY, SOURCE_REGION, TABLE, TASK
from dynamirror.engines.demo.play import SCHEMA, Stage, play
from dynamirror.engines.demo.show import Screen
from dynamirror.engines.embedded import Embedded, Program, dynamodb_local, ministack, started
from dynamirror.engines.launch import fastest_loop
from dynamirror.engines.library import Replication
from dynamirror.engines.traffic import Call, Traffic
from dynamirror.errors import ExitCode, Retry
from dynamirror.model.backoff import Backoff
from dynamirror.model.task_name import lease_table_name
from dynamirror.ports import Clock
from dynamirror.settings.groups import DestinationSettings, ReplicationSettings, SourceSettings, TaskSettings

# The same traffic in every run.
_SEED = 20_151_119
_ATTEMPTS_MAX = 5
_BACKOFF = Backoff(first_s=0.1, most_s=2.0)
# What a shell reports for a program that SIGINT ended; cli/early has it too.
_INTERRUPTED = 130


def launch_demo(options: DemoOptions) -> int:
    """Run the demo on this terminal; returns the exit code. Raises DynamirrorError."""
    program = dynamodb_local(os.environ) if options.dynamodb_local else ministack()
    screen = Screen(sys.stdout, options.seconds, options.json)
    with own_environment() as environ, asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(_demo(program, options, environ, screen))


@contextmanager
def own_environment() -> Iterator[Mapping[str, str]]:
    """The process's environment without anything of the user's AWS configuration, and with made-up credentials.

    The process's own, because botocore reads no other. Put back on the way out.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith(("AWS_", "DYNAMIRROR_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    try:
        yield dict(os.environ)
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(slots=True)
class Interrupts:
    """Ctrl-C: the first ends the traffic, another one quits; SIGTERM quits; while `waiting`, any ends the wait."""

    task: asyncio.Task[Any]
    traffic_over: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event | None = None
    # What the comparison has found; None before it.
    verdict: ExitCode | None = None
    _count: int = 0

    def listen(self) -> None:
        """Take the signals over, for the rest of the loop's life."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        loop.add_signal_handler(signal.SIGTERM, self.terminate)

    def interrupt(self) -> None:
        """One Ctrl-C."""
        self._count += 1
        if self.waiting is not None:
            self.waiting.set()
        elif self._count == 1:
            self.traffic_over.set()
        else:
            self.task.cancel()

    def terminate(self) -> None:
        """One SIGTERM."""
        if self.waiting is not None:
            self.waiting.set()
        else:
            self.task.cancel()


async def _demo(program: Program, options: DemoOptions, environ: Mapping[str, str], screen: Screen) -> int:
    task = asyncio.current_task()
    assert task is not None, "run by asyncio.Runner"
    interrupts = Interrupts(task)
    interrupts.listen()
    try:
        await _show(program, options, environ, screen, interrupts)
    except asyncio.CancelledError:
        if interrupts.verdict is None:
            screen.note("Stopped without a comparison.")
    return _INTERRUPTED if interrupts.verdict is None else int(interrupts.verdict)


async def _show(
    program: Program, options: DemoOptions, environ: Mapping[str, str], screen: Screen, interrupts: Interrupts
) -> None:
    async with started(program) as database, stage_on(database, environ) as stage:
        screen.opening(database.name, database.endpoint, database.note)
        with screen.running():
            result = await play(stage, options.seconds, options.rate, screen, interrupts.traffic_over)
        screen.result(result)
        interrupts.verdict = ExitCode.OK if result.comparison.equal else ExitCode.DIFFERS
        if options.keep:
            await _keep(stage, database, interrupts, screen)
        else:
            screen.next_steps()


async def _keep(stage: Stage, database: Embedded, interrupts: Interrupts, screen: Screen) -> None:
    """Go on replicating, where the leases say that it stopped, until Ctrl-C."""
    interrupts.waiting = asyncio.Event()
    async with stage.replication() as replication:
        screen.look_around(database.endpoint)
        ended = asyncio.ensure_future(replication.wait())
        interrupted = asyncio.ensure_future(interrupts.waiting.wait())
        await asyncio.wait({ended, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        interrupted.cancel()
    screen.note("Stopped; the database is gone.")


@asynccontextmanager
async def stage_on(database: Embedded, environ: Mapping[str, str]) -> AsyncIterator[Stage]:
    """Both tables made, the stream on, and what the play needs."""
    settings = demo_settings(database.endpoint)
    clock, draw = SystemClock(), random.Random(_SEED)
    async with connect(settings, environ, clock, draw.random) as connections:
        await connections.source_control.create_table(TABLE, SCHEMA)
        await connections.source_control.enable_stream(TABLE)
        await connections.destination_control.create_table(TABLE, SCHEMA)
        yield Stage(
            database=database.name,
            clock=clock,
            traffic=Traffic(TABLE, random.Random(_SEED)),
            source=_call(connections.source, clock, draw.random),
            destination=_call(connections.destination, clock, draw.random),
            replication=lambda: Replication(settings, environ),
        )


def demo_settings(endpoint: str) -> ReplicationSettings:
    """What `replicate` would be told on the command line to do the demo's work."""
    source, destination = (SOURCE_REGION, TABLE), (DESTINATION_REGION, TABLE)
    return ReplicationSettings(
        source=SourceSettings(*source, endpoint=endpoint),
        destination=DestinationSettings(*destination, endpoint=endpoint),
        task=TaskSettings(SOURCE_REGION, endpoint, lease_table_name(TASK, source, destination), named=True),
    )


def _call(service: Service, clock: Clock, draw: Callable[[], float]) -> Call:
    """Requests and answers as decoded JSON; failures that pass are tried again a few times."""

    async def call(operation: str, request: Mapping[str, Any]) -> Any:
        body = msgspec.json.encode(request)
        for attempt in range(_ATTEMPTS_MAX - 1):
            try:
                return msgspec.json.decode(await service.call(operation, body))
            except Retry:
                await clock.sleep(_BACKOFF.delay_s(attempt, draw))
        return msgspec.json.decode(await service.call(operation, body))

    return call
