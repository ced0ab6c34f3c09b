"""The benchmark still measures the real command: every key arrives at the stand-in, every request is signed."""

import pytest

from bench import throughput
from bench.load import Load
from bench.throughput import Void, boto3_loop, dynamirror

pytestmark = [pytest.mark.long, pytest.mark.alone]
CHANGES = 8000
# So many cost more than what start and waiting, which are taken off, may vary by.
MANY = 80_000


async def test_the_real_command_carries_every_key() -> None:
    figure = await dynamirror(Load(changes=MANY), rounds=1)
    assert figure.load.count == MANY
    # Nearly all batches are full: only what is left of a page goes out in a smaller one.
    assert MANY / 25 <= figure.requests["BatchWriteItem"] < MANY / 25 * 1.5
    assert 0 < figure.cpu_us_each < 1000
    assert figure.rss_idle_mb <= figure.rss_max_mb


async def test_the_plain_loop_does_too() -> None:
    figure = await boto3_loop(Load(changes=CHANGES), rounds=1)
    assert figure.requests["BatchWriteItem"] == CHANGES / 25
    assert figure.cpu_us_each > 0


async def test_a_copy_carries_every_item_once_in_pages_of_a_megabyte() -> None:
    figure = await dynamirror(Load(items=CHANGES), rounds=1)
    assert CHANGES / 25 <= figure.requests["BatchWriteItem"] < CHANGES / 25 * 1.5
    assert figure.requests["Scan"] < CHANGES / 50
    # So few cost less than what the waiting before them may vary by: the figure may be below 0.
    assert figure.cpu_us_each < 1000


async def test_the_plain_copy_does_too() -> None:
    figure = await boto3_loop(Load(items=CHANGES), rounds=1)
    assert figure.requests["BatchWriteItem"] == CHANGES / 25
    assert figure.requests["Scan"] == -(-CHANGES // 1024)


async def test_a_busy_stand_in_makes_the_figure_void(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "STANDIN_BUSY_MAX", 0.0)
    with pytest.raises(Void, match=r"the stand-in was \d+% busy"):
        await boto3_loop(Load(changes=CHANGES), rounds=1)
