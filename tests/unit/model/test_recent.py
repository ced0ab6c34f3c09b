"""Quantiles of the last minute, by counting."""

import random

from dynamirror.model.recent import STEP, Recent


def test_quantiles_are_right_within_a_step() -> None:
    recent, draw = Recent(), random.Random(1)
    values = sorted(draw.lognormvariate(0, 2) for _ in range(5000))
    for value in values:
        recent.see(value, 10.0)
    for share in (0.01, 0.5, 0.99, 1.0):
        found = recent.quantile(share, 10.0)
        assert found is not None
        assert abs(found / values[int(share * 5000) - 1] - 1) < STEP - 1


def test_what_is_older_than_the_window_is_forgotten() -> None:
    recent = Recent(window_s=60, slices=6)
    for value, now_s in ((9.0, 5.0), (9.0, 6.0), (1.0, 40.0)):
        recent.see(value, now_s)
    assert round(recent.quantile(0.99, 50.0) or 0) == 9
    assert round(recent.quantile(0.99, 70.0) or 0) == 1
    assert recent.quantile(0.99, 200.0) is None


def test_nothing_is_no_quantile_and_no_lag_is_one() -> None:
    recent = Recent()
    assert recent.quantile(0.5, 0.0) is None
    recent.see(0.0, 0.0)
    assert recent.quantile(0.5, 0.0) == 0.0


def test_memory_is_bounded_by_sizes_and_slices() -> None:
    recent = Recent()
    for second in range(10_000):
        recent.see(second * 8.64, float(second))
    assert len(recent._slices) == 6
    assert max(len(counts) for _, counts in recent._slices) < 500
