"""One limit, many workers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.shares import BEGINNING, ROOM, Demand, shares

DEMANDS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3), st.builds(Demand, st.floats(0, 1000), st.booleans()), max_size=30
)
TOTALS = st.floats(1, 10_000)


@given(DEMANDS, TOTALS)
def test_all_of_the_limit_is_given_and_no_more(demands: dict[str, Demand], total_s: float) -> None:
    given_s = shares(demands, total_s)
    assert given_s.keys() == demands.keys()
    assert all(share > 0 for share in given_s.values())
    if demands:
        assert sum(given_s.values()) == pytest.approx(total_s)


@given(DEMANDS, TOTALS)
def test_who_could_use_more_has_an_equal_part_at_least(demands: dict[str, Demand], total_s: float) -> None:
    given_s = shares(demands, total_s)
    limited = [given_s[worker] for worker, demand in demands.items() if demand.limited]
    assert all(share >= total_s / len(demands) * (1 - 1e-9) for share in limited)
    assert not limited or max(limited) == pytest.approx(min(limited))


@given(DEMANDS, TOTALS)
def test_who_uses_little_keeps_it_and_some_room(demands: dict[str, Demand], total_s: float) -> None:
    equal = total_s / max(1, len(demands))
    for worker, share in shares(demands, total_s).items():
        demand = demands[worker]
        if not demand.limited:
            assert share >= min(max(demand.used_s * ROOM, BEGINNING * equal), equal) * (1 - 1e-9)


def test_what_the_modest_leave_is_shared_by_the_others() -> None:
    demands = {"a": Demand(10, False), "b": Demand(100, True), "c": Demand(90, True)}
    assert shares(demands, 300) == {"a": 12.5, "b": 143.75, "c": 143.75}


def test_one_alone_has_it_all() -> None:
    assert shares({"a": Demand(0, False)}, 300) == {"a": 300}
    assert shares({"a": Demand(0, True)}, 300) == {"a": 300}
