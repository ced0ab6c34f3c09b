"""The page of a plan: all that counts in text and in JSON, the worst last to be missed."""

import json
from dataclasses import replace

import pytest

from dynamirror.cli.plan_page import as_json, as_text, document
from dynamirror.engines.plan import PlanOptions, SchemaDiff
from dynamirror.model.table_differences import Difference, Severity
from dynamirror.testing.virtual_time import run_virtual
from tests.support.plan_cloud import LEASES, PlanWorld


@pytest.fixture
def world() -> PlanWorld:
    return PlanWorld()


def test_a_plan_that_is_ready(world: PlanWorld) -> None:
    world.source.more["Orders"] |= {"ItemCount": 2_000_000_000, "TableSizeBytes": 3_000_000_000_000}
    text = as_text(run_virtual(world.plan(PlanOptions(changes_a_day=2e6), copy=True)))
    for said in (
        "2,000,000,000 items, 3.0 TB (counted up to 6 hours ago)",
        "11.6 days at least: 4,000,000,000 write units at 4,000 a second",
        "2,651.55 USD, on demand (writing the destination 2,500.00, reading the source 91.55, transfer 60.00)",
        "with the changes that were said",
        "up to 6 hours old; prices of 2024-11; those of eu-west-1 are not listed",
        "Lambda: not known; other tasks: none",
        f"{LEASES}: made by the first start",
        "not checked: destination BatchWriteItem",
    ):
        assert said in " ".join(text.split()), said
    assert text.endswith("\nready\n")
    assert len(text.splitlines()) < 50


def test_what_is_wrong_stands_first_and_says_what_to_do(world: PlanWorld) -> None:
    world.destination.refusals["DescribeTable"] = "AccessDeniedException"
    text = as_text(run_virtual(world.plan()))
    assert "destination  eu-west-1/Copy: not seen" in text
    first = next(line for line in text.splitlines() if line.startswith(("stop", "warn", "ready")))
    assert first.startswith("stop  destination")
    assert "-> allow dynamodb:DescribeTable on table Copy" in text
    assert "not ready: mend what says stop" in text


def test_json_holds_what_the_text_does(world: PlanWorld) -> None:
    plan = run_virtual(world.plan(copy=True))
    found = json.loads(as_json(plan))
    assert found == json.loads(json.dumps(document(plan)))
    assert found["format"] == 1
    assert found["ready"] is True
    assert found["stream"]["readers"] == {"lambda": None, "tasks": [], "global_table": False}
    assert found["estimate"]["copy"]["write_units"] == 2000
    assert {one["severity"] for one in found["findings"]} <= {"stop", "warn", "ready"}
    assert {right["answer"] for right in found["permissions"]} == {"allowed", "not checked"}


def test_a_source_that_was_not_seen_has_no_estimate(world: PlanWorld) -> None:
    world.source.refusals["DescribeTable"] = "ResourceNotFoundException"
    world.state.refusals["DescribeTable"] = "AccessDeniedException"
    plan = run_virtual(world.plan())
    found = document(plan)
    assert (found["stream"], found["estimate"], found["task"]["joins"]) == (None, None, None)
    assert f"{LEASES}: not to be seen" in as_text(plan)


def test_what_a_service_says_is_no_markup(world: PlanWorld) -> None:
    world.source.more["Orders"] |= {"TableStatus": "[red]ODD[/red]"}
    # Among the facts, and in the finding.
    assert as_text(run_virtual(world.plan())).count("[red]ODD[/red]") == 2


def test_colours_only_where_they_are_asked_for(world: PlanWorld) -> None:
    plan = run_virtual(world.plan())
    assert "\x1b[" not in as_text(plan)
    assert "\x1b[" in as_text(plan, color=True)


def test_the_section_of_differences_is_there_when_asked_for(world: PlanWorld) -> None:
    plan = run_virtual(world.plan())
    assert document(plan)["schema"] is None
    line = "tag [x]: only at the source"
    differs = replace(plan, schema=SchemaDiff("", (Difference(Severity.DIFFERS, "tags", line),)))
    shown = {"severity": "differs", "setting": "tags", "line": line}
    assert document(differs)["schema"] == {"compared": True, "differences": [shown]}
    assert f"differs  tags  {line}" in as_text(differs)
    assert "both tables are defined alike" in as_text(replace(plan, schema=SchemaDiff("")))
    missing = replace(plan, schema=SchemaDiff("there is no table"))
    assert document(missing)["schema"] == {"compared": False, "why": "there is no table", "differences": []}
    assert [line for line in as_text(missing).splitlines() if line.startswith("schema")] == [
        "schema    there is no table"
    ]
