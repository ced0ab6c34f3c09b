"""The command of the way back: the same pair the other way round, and one that the parser takes."""

import shlex

from click import Context

from dynamirror.cli.replicate import command
from dynamirror.engines.reverse_command import reverse_command, reverse_settings, reverse_values
from dynamirror.model.task_name import LEASE_TABLE_PREFIX
from tests.support.accounts import settings

GIVEN = settings(
    task_name="orders",
    source_endpoint="http://here:1",
    source_profile="my live",
    destination_endpoint="http://there:2",
    kcl_region="eu-west-3",
)


def test_both_sides_change_places_with_their_endpoints_and_profiles() -> None:
    back = reverse_settings(GIVEN)
    assert (back.source.table, back.source.region, back.source.endpoint) == ("Copy", "eu-west-1", "http://there:2")
    assert (back.destination.table, back.destination.profile) == ("Orders", "my live")
    assert back.task.lease_table == f"{LEASE_TABLE_PREFIX}orders-reverse"


def test_a_task_without_a_name_has_the_name_that_a_reverse_task_is_looked_for_under() -> None:
    assert "task_name" not in reverse_values(settings())


def test_what_others_take_for_granted_of_a_task_goes_along() -> None:
    assert "stray_life" not in reverse_values(settings())
    assert reverse_settings(settings(stray_life=45)).write.stray_life_s == 45.0


def test_the_way_back_of_the_way_back_is_the_task_itself() -> None:
    assert reverse_values(settings(task_name="orders-reverse"))["task_name"] == "orders"


def test_replicate_takes_the_line() -> None:
    line = reverse_command(reverse_values(GIVEN), "2026-01-31T12:00:00Z")
    words = shlex.split(line)
    assert words[:2] == ["dynamirror", "replicate"]
    # With the names that the program has: the command keeps those of whoever asks first.
    with Context(command, help_option_names=["--help", "-h"]) as context:
        command.parse_args(context, words[2:])
    assert context.params["destination_profile"] == "my live"
    assert context.params["start_at"] == "2026-01-31T12:00:00Z"
