"""What a verify prints at its end: a few lines, or one JSON document."""

import msgspec

from dynamirror.engines.verify_options import VerifyOptions, VerifyResult
from dynamirror.model.verify_progress import counts, facts_of
from dynamirror.settings.groups import ReplicationSettings


def as_text(settings: ReplicationSettings, options: VerifyOptions, result: VerifyResult) -> str:
    """The page."""
    tally = result.tally
    source, destination = settings.source, settings.destination
    lines = [f"{source.region}/{source.table} -> {destination.region}/{destination.table}: {_what(options, result)}"]
    if options.since_s is None:
        lines.append(f"  {tally.source_items:,} items of the source, {tally.destination_items:,} of the destination")
    lines.append(f"  {counts(tally)}, {tally.suspects:,} keys looked at one by one, {result.spent_s:.0f} s")
    lines += [f"  {found}" for found in result.first]
    if tally.found + tally.expired + tally.unsettled > len(result.first):
        more = f"all are in {options.report}" if options.report else "--report FILE has them all"
        lines.append(f"  ... {more}")
    if result.parked:
        items = "1 item is" if result.parked == 1 else f"{result.parked:,} items are"
        lines.append(f"  {items} parked, the destination refuses them: dynamirror parked list")
    lines.append(_verdict(options, result))
    return "\n".join(lines)


def as_json(settings: ReplicationSettings, options: VerifyOptions, result: VerifyResult) -> str:
    """The document: what was compared, counts, the first differences."""
    document = {
        "source": {"region": settings.source.region, "table": settings.source.table},
        "destination": {"region": settings.destination.region, "table": settings.destination.table},
        "equal": not result.remaining,
        "remaining": result.remaining,
        "parked": result.parked,
        "passes": result.passes,
        "resumed": result.resumed,
        "seconds": round(result.spent_s, 1),
        "repair": options.repair,
        "sample": {"share": result.share, "seed": result.seed} if options.share < 1 else None,
        "since_seconds": options.since_s,
        **facts_of(result.tally, whole=options.since_s is None),
        "first": [
            {"class": found.kind.value, "key": found.key, **({"path": found.path} if found.path else {})}
            for found in result.first
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def _what(options: VerifyOptions, result: VerifyResult) -> str:
    if options.since_s is not None:
        what = f"keys that the stream names since {options.since_s:g} s"
    elif options.share < 1:
        what = f"a sample of {100 * result.share:g} % (--seed {result.seed})"
    else:
        what = "whole tables"
    return what + (f", {result.passes} passes, the last one:" if options.continuous_s is not None else "")


def _verdict(options: VerifyOptions, result: VerifyResult) -> str:
    part = "" if options.share >= 1 and options.since_s is None else " as far as was looked"
    if result.remaining:
        keys = "1 key" if result.remaining == 1 else f"{result.remaining:,} keys"
        return f"The tables differ: {keys}{' not mended' if options.repair else ''}."
    if result.tally.found:
        return f"The tables were made equal{part}."
    return f"The tables are equal{part}."
