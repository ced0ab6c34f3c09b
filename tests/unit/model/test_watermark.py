"""The checkpoint never stands above a page that is not durable, whatever the order of the answers."""

from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.permit import Permit
from dynamirror.model.watermark import PageMark, Watermark


@given(st.lists(st.integers(0, 3), max_size=12), st.data())
def test_the_checkpoint_is_the_last_page_below_which_all_is_done(sizes: list[int], draw: st.DataObject) -> None:
    watermark = Watermark(Permit())
    marks: list[PageMark] = []
    open_writes: list[int] = []
    to_add = list(enumerate(sizes))
    while to_add or open_writes:
        if to_add and (not open_writes or draw.draw(st.booleans())):
            number, size = to_add.pop(0)
            marks.append(watermark.add(str(number), size))
            open_writes += [number] * size
        else:
            done = open_writes.pop(draw.draw(st.integers(0, len(open_writes) - 1)))
            marks[done].outstanding -= 1
        below = next((i for i in range(len(marks)) if i in open_writes), len(marks))
        expected = str(below - 1) if below else None
        assert watermark.advance() == watermark.checkpoint == expected
        assert watermark.settled is (not open_writes)


def test_a_new_watermark_is_settled_and_knows_no_checkpoint() -> None:
    watermark = Watermark(Permit())
    assert watermark.settled
    assert watermark.advance() is None
    assert "7, outstanding=2" in repr(watermark.add("7", 2))
