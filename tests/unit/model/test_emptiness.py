"""Empty pages prove that nothing came only when there are many of them, one after the other."""

from dynamirror.model.emptiness import EMPTY_READING_S, Emptiness

NOW_MS = 1_700_000_000_000


def read(emptiness: Emptiness, from_s: float, for_s: float, every_s: float = 1.0) -> float:
    """Empty pages; returns when the last one was asked for."""
    at_s = from_s
    while at_s < from_s + for_s:
        at_s += every_s
        emptiness.read(NOW_MS + int(at_s * 1000), empty=True)
    return at_s


def test_nothing_is_known_before_a_quarter_of_an_hour_of_empty_pages() -> None:
    emptiness = Emptiness()
    at_s = read(emptiness, 0, EMPTY_READING_S - 5)
    assert emptiness.until_ms is None
    at_s = read(emptiness, at_s, 10)
    assert emptiness.until_ms == NOW_MS + int(at_s * 1000)


def test_a_record_ends_it() -> None:
    emptiness = Emptiness()
    at_s = read(emptiness, 0, EMPTY_READING_S + 5)
    emptiness.read(NOW_MS + int(at_s * 1000), empty=False)
    assert emptiness.until_ms is None
    read(emptiness, at_s, EMPTY_READING_S - 5)
    assert emptiness.until_ms is None


def test_a_new_iterator_begins_anew_and_takes_nothing_back() -> None:
    emptiness = Emptiness()
    proven_ms: list[int | None] = []
    at_s = 0.0
    for for_s in (EMPTY_READING_S - 5, EMPTY_READING_S + 5, 100):
        emptiness.opened()
        at_s = read(emptiness, at_s, for_s)
        proven_ms.append(emptiness.until_ms)
    assert proven_ms == [None, NOW_MS + int(2 * EMPTY_READING_S * 1000), NOW_MS + int(2 * EMPTY_READING_S * 1000)]


def test_a_pause_is_no_reading() -> None:
    """A worker that slept, a service that did not answer, a clock that went back."""
    emptiness = Emptiness()
    at_s = read(emptiness, 0, 60)
    read(emptiness, at_s + 3600, 60)
    read(emptiness, 0, 60)
    assert emptiness.until_ms is None
