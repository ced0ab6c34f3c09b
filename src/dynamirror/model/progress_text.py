"""The words of progress that a copy and a verify share."""


def pace_texts(now: tuple[float, int], before: tuple[float, int] | None, items: int) -> list[str]:
    """Rate, share and time left. `now`, `before`: seconds on one clock, and items by then; before: an earlier moment,
    for the rate; `items`: about so many there are (0: not known)."""
    (at_s, done), texts, rate = now, [], 0.0
    if before is not None and at_s > before[0]:
        rate = (done - before[1]) / (at_s - before[0])
        texts.append(f"{rate:,.0f} items/s")
    if items and done < items:
        texts.append(f"{100 * done / items:.0f} % of about {items:,}")
        if rate > 0:
            texts.append(f"{time_text((items - done) / rate)} left")
    return texts


def size_text(size_bytes: int) -> str:
    """A size in the unit that fits."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes / 1000:.0f} kB"


def time_text(seconds: float) -> str:
    """A duration in the unit that fits."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
