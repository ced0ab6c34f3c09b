"""Delays double, are drawn from the upper half, and have a limit."""

from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.backoff import Backoff


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_lies_in_the_upper_half_of_its_ceiling(attempt: int, drawn: float) -> None:
    ceiling = min(5.0, 0.05 * 2 ** min(attempt, 20))
    assert ceiling / 2 <= Backoff(0.05, 5.0).delay_s(attempt, lambda: drawn) <= ceiling
