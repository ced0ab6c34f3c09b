"""When a reader has read all that there was."""

from dynamirror.model.tip import EMPTY_PAGES_MIN, Tip


def test_behind_records_one_empty_page_is_the_end_of_them() -> None:
    tip = Tip()
    tip.opened()
    seen = []
    for at_ms, empty in ((1000, False), (2000, True), (3000, False)):
        tip.read(at_ms, empty)
        seen.append(tip.until_ms)
    assert seen == [None, 2000, None]


def test_before_records_came_it_takes_several() -> None:
    tip = Tip()
    tip.opened()
    for number in range(EMPTY_PAGES_MIN - 1):
        tip.read(number, empty=True)
        assert tip.until_ms is None
    tip.read(50, empty=True)
    assert tip.until_ms == 50


def test_a_new_iterator_has_its_way_before_it_again() -> None:
    tip = Tip()
    tip.read(1000, empty=False)
    tip.read(2000, empty=True)
    tip.opened()
    tip.read(3000, empty=True)
    # What was read until then stays read.
    assert tip.until_ms == 2000
