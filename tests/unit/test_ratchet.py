"""Files, functions and parameter lists stay small; what has outgrown its aim is listed and only shrinks."""

import pytest

from scripts.ratchet import Size, complaints, lowered, outgrown, read_list, sizes

SOURCE = """
class Batch:
    def send(self, a, b, /, c, *rest, d):
        async def once():
            pass
        return once
"""


def test_nothing_outgrows_its_aim() -> None:
    found = complaints(outgrown(), read_list())
    assert not found, "\n" + "\n".join(found)


def test_sizes_are_counted_as_the_guideline_says() -> None:
    assert list(sizes(SOURCE, "x.py")) == [
        Size("x.py", "file lines", 6),
        Size("x.py::Batch.send", "lines", 4),
        Size("x.py::Batch.send", "parameters", 4),
        Size("x.py::Batch.send.once", "lines", 2),
        Size("x.py::Batch.send.once", "parameters", 0),
    ]


@pytest.mark.parametrize(
    "size,listed,word",
    [
        (41, {}, "the aim is 40"),
        (45, {"x.py::f lines": 44}, "may only shrink"),
        (71, {"x.py::f lines": 71}, "hard limit is 70"),
        (41, {"x.py::f lines": 41, "x.py::gone lines": 50}, "gone lines: listed, but mended"),
    ],
)
def test_each_excess_is_named(size: int, listed: dict[str, int], word: str) -> None:
    [line] = complaints([Size("x.py::f", "lines", size)], listed)
    assert word in line


def test_a_listed_size_may_stay() -> None:
    assert not complaints([Size("x.py::f", "lines", 44)], {"x.py::f lines": 45})


def test_the_list_is_only_ever_lowered() -> None:
    found = [Size("x.py::f", "lines", 44), Size("x.py::g", "lines", 50), Size("x.py::new", "lines", 60)]
    assert lowered(found, {"x.py::f lines": 45, "x.py::g lines": 49, "x.py::gone lines": 41}) == {
        "x.py::f lines": 44,
        "x.py::g lines": 49,
    }
