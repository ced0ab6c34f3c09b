"""Items meet by key: whatever is not the same on both sides is handed out, within a bound of memory."""

from hypothesis import given
from hypothesis import strategies as st

from dynamirror.errors import Side
from dynamirror.model.meeting import ENTRY_BYTES, Meeting

ROOMY = 1_000_000
TABLE = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.sampled_from([b"x", b"y"]), max_size=30)


def met(here: dict[str, bytes], there: dict[str, bytes], steps: list[bool], bytes_max: int) -> list[str]:
    """Suspects, both sides read one item at a time, in the order of `steps` while both have some."""
    meeting = Meeting(bytes_max)
    left = {Side.SOURCE: sorted(here.items()), Side.DESTINATION: sorted(there.items(), reverse=True)}
    turns = iter(steps)
    found: list[object] = []
    while left:
        side = Side.SOURCE if next(turns, False) else Side.DESTINATION
        side = side if side in left else next(iter(left))
        if left[side]:
            found += meeting.add(side, [left[side].pop()])
        else:
            del left[side]
            found += meeting.end(side)
        assert sum(meeting.waiting(side) for side in Side if side is not Side.STATE) * ENTRY_BYTES <= bytes_max
    return [str(key) for key in found]


@given(TABLE, TABLE, st.lists(st.booleans()))
def test_suspects_are_what_is_not_the_same_on_both_sides(
    here: dict[str, bytes], there: dict[str, bytes], steps: list[bool]
) -> None:
    found = met(here, there, steps, ROOMY)
    wanted = {key for key in here.keys() | there.keys() if here.get(key) != there.get(key)}
    assert sorted(found) == sorted(wanted)


@given(TABLE, TABLE, st.lists(st.booleans()))
def test_beyond_the_bound_none_is_forgotten(here: dict[str, bytes], there: dict[str, bytes], steps: list[bool]) -> None:
    found = met(here, there, steps, 5 * ENTRY_BYTES)
    assert {key for key in here.keys() | there.keys() if here.get(key) != there.get(key)} <= set(found)


def test_those_that_waited_longest_go_first() -> None:
    meeting = Meeting(2 * (ENTRY_BYTES + 1))
    assert meeting.add(Side.SOURCE, [("a", b"x"), ("b", b"x")]) == []
    assert meeting.add(Side.SOURCE, [("c", b"x")]) == ["a"]
    assert meeting.add(Side.DESTINATION, [("b", b"x"), ("c", b"y")]) == ["c"]


def test_a_key_that_is_read_twice_waits_once() -> None:
    meeting = Meeting(ROOMY)
    meeting.add(Side.SOURCE, [("a", b"x"), ("a", b"y")])
    assert meeting.add(Side.DESTINATION, [("a", b"y")]) == []
    assert meeting.end(Side.SOURCE) + meeting.end(Side.DESTINATION) == []
