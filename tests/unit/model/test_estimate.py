"""Estimates: units, time and cost, with figures that can be reckoned by hand."""

from dataclasses import replace

import pytest

from dynamirror.model.estimate import (
    Load,
    Pace,
    Rate,
    estimate_copy,
    estimate_follow,
    limited,
    storage_month,
    write_rate,
)
from dynamirror.model.prices import tariff
from dynamirror.model.table_definition import TableDefinition, Throughput

US = tariff("us-east-1")
TABLE = TableDefinition((("pk", "HASH"),), {"pk": "S"})
PACE = Pace(idle_poll_s=1.0, heartbeat_s=1.0, watch_s=2.0, renew_s=15.0, scan_s=10.0, sync_s=60.0, orders_s=2.0)


def test_a_terabyte_of_small_items_costs_what_it_is_known_to_cost() -> None:
    found = estimate_copy(Load(10**9, 1024 * 10**9, crosses=False), Rate(4000, ""), US, US)
    assert found.write_units == 10**9
    assert found.seconds == pytest.approx(250_000)
    assert found.least.parts["writing the destination"] == pytest.approx(625)
    assert found.least.parts["reading the source"] == pytest.approx(31.25)
    assert "transfer" not in found.least.parts


def test_a_byte_over_a_kilobyte_is_another_unit() -> None:
    assert estimate_copy(Load(10, 10 * 1024), Rate(1, ""), US, US).write_units == 10
    assert estimate_copy(Load(10, 10 * 1024 + 1), Rate(1, ""), US, US).write_units == 20


def test_an_empty_table_costs_nothing() -> None:
    found = estimate_copy(Load(0, 0), Rate(4000, ""), US, US)
    assert (found.write_units, found.seconds, found.most.usd) == (0, 0, 0)


def test_indexes_make_it_dearer_and_local_ones_slower() -> None:
    load = Load(1000, 1000 * 100, global_indexes=2, local_indexes=1)
    found = estimate_copy(load, Rate(100, ""), US, US)
    assert (found.write_units, found.write_units_most) == (1000, 4000)
    assert found.seconds == pytest.approx(20)
    assert found.least.usd < found.most.usd


def test_nothing_is_promised_of_a_table_that_takes_no_writes() -> None:
    assert estimate_copy(Load(1, 1), Rate(0, ""), US, US).seconds is None


@pytest.mark.parametrize(
    "definition,units,why",
    [
        (None, 4000, "new on-demand"),
        (TABLE, 4000, "new on-demand"),
        (replace(TABLE, warm=Throughput(1, 9000)), 9000, "warm"),
        (replace(TABLE, warm=Throughput(1, 9000), maxima=Throughput(write=500)), 500, "maximum"),
        (replace(TABLE, maxima=Throughput(write=50_000)), 4000, "new on-demand"),
        (replace(TABLE, on_demand=False, capacity=Throughput(5, 25)), 25, "provisioned"),
        (replace(TABLE, on_demand=False), 0, "provisioned"),
    ],
)
def test_the_rate_is_the_destinations(definition: TableDefinition | None, units: int, why: str) -> None:
    found = write_rate(definition)
    assert found.units_s == units
    assert why in found.why
    assert write_rate(definition, 12.5) == Rate(12.5, "as given")


def test_a_day_of_following() -> None:
    load = Load(1000, 1000 * 1024, global_indexes=1)
    found = estimate_follow(load, 10, PACE, (US, US, US))
    assert found.at_rest.parts["reading the stream"] == pytest.approx(10 * 86_400 * 0.2e-6)
    # 70 rows of 360 bytes are seven units.
    reads = 2 * 43_200 + 7 * (8_640 / 2 + 1_440)
    leases = (86_400 + 10 * 5760) * 0.625e-6 + reads * 0.125e-6
    assert found.at_rest.parts["leases and heartbeat"] == pytest.approx(leases)
    assert found.million_changes.parts["writing the destination"] == pytest.approx(1.25)
    assert found.million_changes.parts["transfer"] == pytest.approx(1.024 * 0.02)
    assert found.day is None
    day = estimate_follow(load, 10, PACE, (US, US, US), changes_a_day=2e6).day
    assert day is not None
    assert day.usd == pytest.approx(found.at_rest.usd + 2 * found.million_changes.usd)


def test_a_month_of_storage() -> None:
    assert storage_month(Load(1, 4 * 10**9), US) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "read_s, write_s, units, why",
    [
        (None, None, 100, "given"),
        (None, 50, 50, "--max-write-rate"),
        (None, 500, 100, "given"),
        # 1,000 items of 4 KB: one unit read for four written.
        (10, None, 40, "--max-read-rate"),
        (10, 20, 20, "--max-write-rate"),
        (1000, None, 100, "given"),
    ],
)
def test_limits_slow_the_copy(read_s: float | None, write_s: float | None, units: float, why: str) -> None:
    load = Load(1000, 1000 * 4096, 0, 0, False)
    assert limited(Rate(100, "given"), load, read_s, write_s) == Rate(units, why)
