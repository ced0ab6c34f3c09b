"""The cores of a container."""

import os
from pathlib import Path

import pytest

from dynamirror.engines.cores import usable_cores


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    "text, found",
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("50000 100000\n", 1),
        ("150000 100000\n", 2),
        ("1600000 100000\n", 8),
        ("", 8),
        ("garbage\n", 8),
        ("0 0\n", 8),
    ],
)
def test_version_two(tmp_path: Path, text: str, found: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path) == found


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize("quota, found", [("-1", 8), ("300000", 3), ("10000", 1)])
def test_version_one(tmp_path: Path, quota: str, found: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == found


@pytest.mark.usefixtures("eight")
def test_without_control_groups_it_is_what_the_scheduler_allows(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 8


def test_without_affinity_it_is_what_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1
