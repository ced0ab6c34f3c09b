"""A start finds what a plan finds: refused in its words before anything is made, warned once, never long held up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from dynamirror.engines.plan_facts import Mappings
from dynamirror.engines.start_checks import CHECKS_S, StartChecks
from dynamirror.errors import AccessDenied, DynamirrorError, ExitCode, Side
from dynamirror.ports import TableFacts
from dynamirror.testing.virtual_time import run_virtual
from tests.support.plan_cloud import LEASES, STATE, PlanWorld

MARKS = {"aws:rep:updatetime": {"N": "1"}}


@pytest.fixture
def world() -> PlanWorld:
    return PlanWorld()


def start(world: PlanWorld, mappings: Mappings | None = None, **more: Any) -> float:
    """The checks of a start; returns how long they took. What they ask for has written nothing."""

    async def checked() -> float:
        reach, begun_s = world.reach(), world.clock.boottime_s()
        checks = StartChecks(reach, world.settings(**more), world.clock, mappings)
        leases: TableFacts | None = None
        if LEASES in world.state.database.tables:
            leases = await reach.state_control.describe_table(LEASES)
        await checks.refuse_unready(leases)
        await checks.refuse_unready(leases)
        return world.clock.boottime_s() - begun_s

    took_s = run_virtual(checked())
    assert world.written() == []
    return took_s


def refused(world: PlanWorld, **more: Any) -> tuple[ExitCode, str]:
    with pytest.raises(DynamirrorError) as refusal:
        start(world, **more)
    assert "\n" not in str(refusal.value)
    return refusal.value.exit_code, str(refusal.value)


def said(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    found = [one for one in caplog.records if getattr(one, "event", "") == "plan_finding" and one.levelno == level]
    return [one.getMessage() for one in found]


def indexed(kind: str) -> dict[str, Any]:
    index = {"IndexName": "by-at", "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}]}
    types = [{"AttributeName": name, "AttributeType": one} for name, one in (("pk", "S"), ("sk", "N"), ("at", kind))]
    return {"GlobalSecondaryIndexes": [index], "AttributeDefinitions": types}


def clash(world: PlanWorld) -> None:
    world.source.more["Orders"] |= indexed("S")
    world.destination.more["Copy"] |= indexed("N")


def items(world: PlanWorld) -> None:
    world.destination.put("Copy", {"pk": {"S": "x"}, "sk": {"N": "1"}})


def replica(world: PlanWorld) -> None:
    world.source.more["Orders"] |= {"Replicas": [{"RegionName": "eu-west-1"}]}
    world.destination.table("Orders", {"pk": "S", "sk": "N"})


def denied(cloud: str, operation: str) -> Callable[[PlanWorld], None]:
    def deny(world: PlanWorld) -> None:
        getattr(world, cloud).refusals[operation] = "AccessDeniedException"

    return deny


def bare_leases(world: PlanWorld) -> None:
    """Made beforehand, by somebody who may make tables."""
    world.leases()
    world.state.refusals["UpdateItem"] = "AccessDeniedException"


def slow(world: PlanWorld) -> None:
    world.destination.more["Copy"] |= {"BillingModeSummary": {"BillingMode": "PROVISIONED"}}


@pytest.mark.parametrize(
    "trouble,more,code,words",
    [
        (clash, {}, 4, "indexes: attribute at: as a key of type S at the source, N at the destination"),
        (items, {"copy": True}, 4, "destination: it has items; empty it, or give --allow-non-empty"),
        (replica, {"destination_table": "Orders"}, 4, "is a replica of the source"),
        (slow, {}, 4, "capacity: the destination takes no writes"),
        (denied("destination", "BatchWriteItem"), {}, 4, "destination: BatchWriteItem on Copy is denied"),
        (denied("source", "BatchGetItem"), {}, 3, "allow dynamodb:BatchGetItem on it"),
        (denied("source", "Scan"), {"copy": True}, 3, "source: Scan on Orders is denied"),
        (denied("streams", "GetRecords"), {}, 3, "GetRecords on its stream is denied"),
        (bare_leases, {}, 5, f"UpdateItem on {LEASES} is denied"),
    ],
    ids=["clash", "items", "replica", "slow", "write", "read", "scan", "records", "leases"],
)
def test_what_a_plan_calls_not_ready_refuses_a_start(
    world: PlanWorld, trouble: Callable[[PlanWorld], None], more: dict[str, Any], code: int, words: str
) -> None:
    trouble(world)
    assert not run_virtual(world.plan(**more)).ready
    found, line = refused(world, **more)
    assert (found, words in line) == (code, True), line


def test_a_destination_that_cannot_be_made_is_an_argument(world: PlanWorld) -> None:
    world.source.more["Orders"] |= {
        "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:us-east-1:1:key/k"}
    }
    more = {"destination_table": "Nothing", "create_destination": True}
    code, line = refused(world, **more)
    assert (code, "encrypted with a KMS key of us-east-1" in line) == (ExitCode.USAGE, True), line


def test_several_are_counted(world: PlanWorld) -> None:
    clash(world)
    items(world)
    assert refused(world, copy=True)[1].endswith(" (and 1 more; dynamirror plan shows all)")


def test_a_warning_is_one_line_and_only_of_a_task_that_begins(
    world: PlanWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.source.put("Orders", {"pk": {"S": "x"}, "sk": {"N": "1"}, **MARKS})
    world.destination.ttl["Copy"] = "expires"
    start(world)
    lines = said(caplog)
    assert len(lines) == 2
    assert "give --drop-aws-rep" in lines[0]
    assert "items vanish there" in lines[1]
    caplog.clear()
    world.leases()
    start(world)
    assert len(said(caplog)) == 2, "an empty lease table is a task that begins"
    caplog.clear()
    world.state.put(LEASES, {"leaseKey": {"S": "shard"}})
    clash(world)
    for cloud in (world.source, world.destination, world.streams):
        cloud.asked.clear()
    start(world)
    assert not caplog.records
    assert not world.source.asked + world.destination.asked + world.streams.asked


def test_items_that_another_worker_of_the_task_has_copied_meanwhile_refuse_nothing(world: PlanWorld) -> None:
    """Both start at once: 1 this one finds no leases; 2 the other makes them, and copies; 3 this one finds items."""

    async def meanwhile(_: str) -> Sequence[str]:
        world.leases()
        world.state.put(LEASES, {"leaseKey": {"S": "shard"}})
        return ()

    items(world)
    start(world, meanwhile, copy=True)


def test_nothing_is_said_where_all_is_well(world: PlanWorld, caplog: pytest.LogCaptureFixture) -> None:
    start(world, copy=True)
    assert not said(caplog)


def test_what_is_not_known_is_no_warning(world: PlanWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dynamirror")
    world.source.refusals["Scan"] = world.state.refusals["ListTables"] = "AccessDeniedException"
    world.destination.refusals["DeleteItem"] = world.streams.refusals["DescribeStream"] = "ThrottlingException"
    start(world)
    assert not said(caplog)
    lines = said(caplog, logging.INFO)
    assert any("attributes is not known; allow dynamodb:Scan" in line for line in lines)
    assert any("not checked: " in line for line in lines)


def test_narrow_rights_of_the_java_form_are_silent(world: PlanWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dynamirror")
    for cloud in (world.source, world.destination, world.state):
        for operation in ("Scan", "BatchGetItem", "DeleteItem", "PutItem", "ListTables", "DescribeTimeToLive"):
            cloud.refusals[operation] = "AccessDeniedException"
    assert start(world, java_form=True) == 0
    assert not caplog.records
    trials = {operation for operation, _ in world.destination.asked}
    assert not trials & {"PutItem", "DeleteItem", "BatchWriteItem"}
    clash(world)
    assert refused(world, java_form=True)[0] == ExitCode.DESTINATION


async def _never(_: str) -> Sequence[str]:
    await asyncio.sleep(1e6)
    return ()


async def _forbidden(_: str) -> Sequence[str]:
    raise AccessDenied(Side.SOURCE, "ListEventSourceMappings: AccessDenied")


def test_a_right_to_ask_lambda_is_not_needed(world: PlanWorld, caplog: pytest.LogCaptureFixture) -> None:
    assert start(world, _forbidden) == 0
    assert not said(caplog)


def test_lambda_that_does_not_answer_takes_ten_seconds_at_most(
    world: PlanWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.destination.ttl["Copy"] = "expires"
    assert start(world, _never) <= CHECKS_S
    assert any("items vanish there" in line for line in said(caplog)), "what was found is told all the same"


@pytest.mark.parametrize("mute", ["source", "streams", "destination", "state"])
def test_a_mute_service_takes_ten_seconds_at_most(world: PlanWorld, mute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hold(operation: str, body: bytes) -> bytes:
        await asyncio.sleep(1e6)
        return body

    hushed: Callable[[str, bytes], Awaitable[bytes]] = hold
    monkeypatch.setattr(getattr(world, mute), "call", hushed)
    assert start(world) <= CHECKS_S


def test_the_state_table_made_beforehand_is_tried_too(world: PlanWorld) -> None:
    world.leases()
    world.state.refusals["Query"] = "AccessDeniedException"
    code, line = refused(world)
    assert (code, f"Query on {STATE} is denied" in line) == (ExitCode.STATE, True), line
