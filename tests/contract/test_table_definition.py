"""A clone on DynamoDB Local and on MiniStack: what both make of the requests, and which attributes they leave out."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from dynamirror.aws.control_plane import ControlPlane
from dynamirror.aws.credentials import Credentials
from dynamirror.aws.http import HttpPool, Request, Response, tls_context
from dynamirror.aws.service import TABLES_API, Service, ServiceClock, Signing
from dynamirror.aws.sigv4 import Signer
from dynamirror.aws.table_definition import TableDefinitions
from dynamirror.aws.table_requests import create_request
from dynamirror.engines.clone import CloneOptions, Ensured, compare_definitions, ensure_destination, finish_destination
from dynamirror.engines.embedded import ministack, started
from dynamirror.errors import Side
from dynamirror.model.table_definition import AWS_MANAGED, Index, SetRecovery, SetTtl, TableDefinition, Throughput
from tests.contract.conftest import LOCAL
from tests.support.control_cloud import Crash
from tests.support.dynamodb_local import SECRET_KEY

# What there is to take over, but warm throughput.
RICH = TableDefinition(
    (("pk", "HASH"), ("sk", "RANGE")),
    {"pk": "S", "sk": "N", "by": "B", "at": "S", "who": "N"},
    (Index("local", (("pk", "HASH"), ("by", "RANGE")), "INCLUDE", ("x", "y")),),
    (
        Index("by-at", (("at", "HASH"), ("who", "RANGE")), "KEYS_ONLY", maxima=Throughput(7, 8)),
        Index("by-who", (("who", "HASH"),), "ALL"),
    ),
    maxima=Throughput(70, 80),
    table_class="STANDARD_INFREQUENT_ACCESS",
    encryption=AWS_MANAGED,
    tags={"team": "a", "cost": "b"},
    deletion_protection=True,
    stream="NEW_AND_OLD_IMAGES",
    recovery_days=7,
    ttl="expires",
)
PROVISIONED = TableDefinition(
    RICH.keys[:1],
    {"pk": "S", "at": "S"},
    global_indexes=(Index("by-at", (("at", "HASH"),), "ALL", capacity=Throughput(3, 4)),),
    on_demand=False,
    capacity=Throughput(5, 6),
)
# Fields of RICH that the emulator takes without a word, or does not take, and forgets.
FORGOTTEN = {
    "dynamodb-local": {"table_class", "encryption", "tags", "recovery_days"},
    # It keeps that recovery is on, but not for how many days.
    "ministack": {"recovery_days"},
}
# What an UpdateTable that adds an index changes too, unasked.
LOST_WITH_AN_INDEX: dict[str, set[str]] = {"dynamodb-local": {"deletion_protection", "maxima"}, "ministack": set()}
OPTIONS = CloneOptions("eu-west-1")
LATER = CloneOptions("eu-west-1", indexes_after_copy=True)


class Hurried:
    """ports.Clock of this machine, whose sleeps are short."""

    def boottime_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(min(delay_s, 0.02))


class Keys:
    def __init__(self, access_key: str) -> None:
        self._credentials = Credentials(access_key, SECRET_KEY)

    def current(self) -> Credentials:
        return self._credentials

    async def refresh(self, refused: Credentials) -> None:
        raise AssertionError("these credentials were refused")


@dataclass
class Emulator:
    """Two Regions of one emulator; the program under test is killed before its `crash_at`th call, if that is set."""

    name: str
    url: str
    access_key: str
    pool: HttpPool
    calls: int = 0
    crash_at: int | None = None

    def control(self, side: Side) -> ControlPlane:
        region = "us-east-1" if side is Side.SOURCE else "eu-west-1"
        signing = Signing(Signer(region), Keys(self.access_key), ServiceClock(time.time, time.monotonic))
        service = Service(TABLES_API, side, self.url, signing, self._send, 10.0)
        return ControlPlane(service, Hurried(), lambda: 0.0)

    async def _send(self, request: Request, timeout_s: float) -> Response:
        self.calls += 1
        if self.calls == self.crash_at:
            raise Crash
        return await self.pool.send(request, timeout_s)

    async def make_source(self, definition: TableDefinition) -> None:
        """As a program that knows nothing of clones would."""
        control = self.control(Side.SOURCE)
        there = TableDefinitions(control, Hurried())
        request = create_request("source", definition, "")
        request["Tags"] = [tag for tag in request["Tags"] if tag["Value"]]
        await control.ask("CreateTable", {key: value for key, value in request.items() if value != []}, dict)
        await control.until_active("source")
        if self.name != "dynamodb-local" and definition.recovery_days is not None:
            await there.carry_out("source", SetRecovery(definition.recovery_days))
        if definition.ttl is not None:
            await there.carry_out("source", SetTtl(definition.ttl))

    async def clone(self, options: CloneOptions, *, last: bool = True) -> Ensured:
        names = ("source", f"clone-{options.indexes_after_copy}")
        pair = self.control(Side.SOURCE), self.control(Side.DESTINATION)
        ensured = await ensure_destination(*pair, *names, options, Hurried())
        return await finish_destination(*pair, *names, options, Hurried()) if last else ensured

    async def read(self, side: Side, name: str) -> TableDefinition:
        return await TableDefinitions(self.control(side), Hurried()).read(name)


@pytest.fixture(params=[LOCAL, "ministack"])
async def emulator(request: pytest.FixtureRequest, access_key: str) -> AsyncIterator[Emulator]:
    async with AsyncExitStack() as stack:
        if request.param == "ministack":
            url = (await stack.enter_async_context(started(ministack()))).endpoint
        else:
            url = request.getfixturevalue("dynamodb_local").url
        pool = await stack.enter_async_context(HttpPool(Side.STATE, os.environ, tls_context(None)))
        yield Emulator(str(request.param), url, access_key, pool)


def different(one: TableDefinition, other: TableDefinition) -> set[str]:
    """The names of the fields, ARN and the like aside."""
    compared = [
        field.name for field in fields(TableDefinition) if field.name not in ("arn", "unoffered", "warm", "types")
    ]
    return {name for name in compared if plain(getattr(one, name)) != plain(getattr(other, name))}


def plain(value: Any) -> Any:
    """Indexes in no order, and without their warm throughput."""
    if isinstance(value, tuple) and value and isinstance(value[0], Index):
        return sorted((replace(index, warm=None) for index in value), key=lambda index: index.name)
    return value


async def test_a_table_is_read_as_it_was_made_but_for_what_the_emulator_forgets(emulator: Emulator) -> None:
    await emulator.make_source(RICH)
    found = await emulator.read(Side.SOURCE, "source")
    assert different(RICH, found) == FORGOTTEN[emulator.name]
    lacking = {"tags", "recovery_days"} if emulator.name == "dynamodb-local" else set()
    assert found.unoffered == lacking


@pytest.mark.parametrize("options", [OPTIONS, LATER], ids=["indexes-at-once", "indexes-later"])
async def test_a_clone_is_as_its_source(emulator: Emulator, options: CloneOptions) -> None:
    await emulator.make_source(RICH)
    ensured = await emulator.clone(options, last=False)
    name = f"clone-{options.indexes_after_copy}"
    halfway = await emulator.read(Side.DESTINATION, name)
    assert (ensured.created, ensured.unfinished, halfway.ttl) == (True, True, None)
    assert bool(halfway.global_indexes) is not options.indexes_after_copy
    finished = await emulator.clone(options)
    source, found = await emulator.read(Side.SOURCE, "source"), await emulator.read(Side.DESTINATION, name)
    assert different(source, found) == (LOST_WITH_AN_INDEX[emulator.name] if options is LATER else set())
    assert not finished.unfinished
    # And once more.
    calls = emulator.calls
    assert await emulator.clone(options) == finished
    assert emulator.calls - calls < 30


async def test_a_provisioned_table_is_cloned_and_compared(emulator: Emulator) -> None:
    await emulator.make_source(PROVISIONED)
    await emulator.clone(OPTIONS)
    source = await emulator.read(Side.SOURCE, "source")
    assert not different(PROVISIONED, source)
    assert not different(source, await emulator.read(Side.DESTINATION, "clone-False"))
    changed = {"billing": "on-demand", "ttl": "expires"}
    await emulator.clone(CloneOptions("eu-west-1", indexes_after_copy=True, overrides=changed))
    pair = emulator.control(Side.SOURCE), emulator.control(Side.DESTINATION)
    found = await compare_definitions(*pair, "source", "clone-True", Hurried())
    settings = [difference.setting for difference in found if difference.setting not in ("tags", "recovery_days")]
    assert settings == ["ttl", "billing"]


async def test_a_crash_anywhere_is_finished_by_the_next_start(emulator: Emulator) -> None:
    await emulator.make_source(RICH)
    source = await emulator.read(Side.SOURCE, "source")
    emulator.calls = 0
    crashes = 0
    # Each start comes a little further than the one before.
    for crash_at in range(1, 400):
        emulator.calls, emulator.crash_at = 0, crash_at
        try:
            await emulator.clone(LATER)
            break
        except Crash:
            crashes += 1
    assert crashes > 20
    emulator.crash_at = None
    found = await emulator.read(Side.DESTINATION, "clone-True")
    assert different(source, found) == LOST_WITH_AN_INDEX[emulator.name]
