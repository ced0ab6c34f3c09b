"""What a cut-over prints at its end: one page, or the report."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from dynamirror.engines.cutover_options import CutoverResult
from dynamirror.model.cutover import COMPARED, against
from dynamirror.model.verify import Class, Found

SHARDS_SHOWN = PARKED_SHOWN = 10


def as_json(result: CutoverResult) -> str:
    """The report as it stands in the file."""
    return msgspec.json.format(msgspec.json.encode(result.document)).decode()


def as_text(result: CutoverResult) -> str:
    """The page."""
    return "\n".join(_lines(result))


def _lines(result: CutoverResult) -> Iterator[str]:
    document = result.document
    source, destination = document["source"], document["destination"]
    pair = f"{source['region']}/{source['table']} -> {destination['region']}/{destination['table']}"
    if document.get("dry_run"):
        yield f"{pair}: fit for a cut-over; nothing was changed"
        yield from _steps(document)
        yield from _parked(document["parked"])
        yield "  what a run would do now:"
        yield from (f"    {what}" for what in document["would"])
        return
    yield f"{pair}: cut-over, {document['ended']}"
    yield from _steps(document)
    yield from _drain(document["drain"])
    yield from map(_found, document["verify"].get("first", ()))
    yield from _parked(document["parked"])
    if document["reverse"]:
        yield "  the way back, for changes after the switch (stop workers of this task that still run first):"
        yield f"    {document['reverse']['command']}"
    yield f"  report {result.report}, SHA-256 {document['digest']}"
    yield _verdict(document)


def _steps(document: Mapping[str, Any]) -> Iterator[str]:
    for step in document["steps"]:
        yield f"  {step['step']:8} {step['began']} {step['took_ms'] / 1000:8.1f} s  {step['result']}"


def _found(found: Mapping[str, Any]) -> str:
    return f"  {Found(Class(found['class']), found['key'], found['path'])}"


def _parked(parked: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not parked:
        return
    items = "1 item is" if len(parked) == 1 else f"{len(parked):,} items are"
    yield (
        f"  {items} parked, the destination has refused them: mend it or them, then dynamirror parked retry, then the "
        "same cutover again"
    )
    for one in parked[:PARKED_SHOWN]:
        yield f"    {one['id']}  {msgspec.json.encode(one['key']).decode()}  {one['error']}"
    if len(parked) > PARKED_SHOWN:
        yield f"    ... {len(parked) - PARKED_SHOWN} more in the report"


def _drain(drain: Mapping[str, Any]) -> Iterator[str]:
    shards = drain["shards"]
    for shard in shards[:SHARDS_SHOWN]:
        yield f"  {shard['id']} ends at {shard['last_sequence'] or '(open)'}"
    if len(shards) > SHARDS_SHOWN:
        yield f"  ... {len(shards) - SHARDS_SHOWN} shards more in the report"


def _verdict(document: Mapping[str, Any]) -> str:
    verify, drain = document["verify"], document["drain"]
    proof = "The drain is exact" if drain["exact"] else f"The drain is {drain['proof']}"
    if why := against(verify, len(document["parked"]), document["gaps"]):
        return f"{proof}; {why}: do not start the writers."
    if verify["mode"] == "none":
        return f"{proof}; nothing was compared."
    return f"{proof}; {verify['keys']:,} {COMPARED[verify['mode']]} compared, none differs."
