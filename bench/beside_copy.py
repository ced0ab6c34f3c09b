"""What a copy costs the changes beside it: many of them a second, while the table is copied slowly."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.load import Load
from bench.process import counts_when, measured, standin
from bench.throughput import Void, on_standin
from dynamirror.engines.embedded import ministack, started
from dynamirror.settings.groups import CopySettings, HoldSettings

# Of a page of Scan; with it the segments that are copied at once set the pace of the copy.
_PAGE_ITEMS, _PAGE_PAUSE_S = 60, 0.5
# The last changes wait for as long as the copy has told them to, and those before them may still be on their way.
_AFTERWARDS_S = HoldSettings().hold_s + 120.0


@dataclass(frozen=True, slots=True)
class BesideCopy:
    """From a change's making to its arrival at the destination, one change in each batch."""

    load: Load
    # From the first change to the last item of the copy.
    copy_end_s: float
    # From the first to the last change, or item, to arrive.
    wall_s: float
    samples: int
    p50_s: float
    p99_s: float
    max_s: float
    # Of the replicating process.
    rss_max_mb: float
    cpu_s: float
    standin_busy: float
    requests: dict[str, int]


async def beside_copy(rate: float, seconds: float) -> BesideCopy:
    """`rate` changes a second of 1 KB, for so long, and a copy that takes as long. Raises Void."""
    copy = CopySettings()
    pages = int(seconds / _PAGE_PAUSE_S) * copy.segments_at_once
    items = pages * _PAGE_ITEMS
    load = Load(int(rate * seconds), items, rate=rate, page_items_max=_PAGE_ITEMS, page_pause_s=_PAGE_PAUSE_S)
    async with started(ministack()) as state, standin(load) as endpoint:
        with measured(on_standin(endpoint, state.endpoint, load)) as program:
            counts = await counts_when(
                endpoint,
                lambda now: now["distinct"] == load.count,
                lambda: program.running,
                seconds + _AFTERWARDS_S,
            )
            cost = program.end()
    if counts["distinct"] != load.count or cost.exit_code != 0:
        raise Void(
            f"{counts['distinct']:,} of {load.count:,} keys arrived; the program ended with {cost.exit_code}, after "
            f"{cost.cpu_s:.0f} s of CPU and {cost.rss_max_mb:.0f} MB; the stand-in took {counts['cpu_s']:.0f} s"
        )
    lag = counts["lag"]
    return BesideCopy(
        load,
        copy_end_s=counts["items_s"],
        wall_s=counts["wall_s"],
        samples=sum(times for _, times in lag),
        p50_s=_quantile(lag, 0.5),
        p99_s=_quantile(lag, 0.99),
        max_s=_quantile(lag, 1.0),
        rss_max_mb=cost.rss_max_mb,
        cpu_s=cost.cpu_s,
        standin_busy=counts["cpu_s"] / counts["wall_s"],
        requests=counts["requests"],
    )


def _quantile(lag: Sequence[tuple[int, int]], share: float) -> float:
    """The end of the tenth of a second below which so many are."""
    left = share * sum(times for _, times in lag)
    for tenths, times in lag:
        left -= times
        if left <= 0:
            return (tenths + 1) / 10
    return 0.0
