"""A plan as one page of text and as JSON, both from one document, so that they cannot say different things."""

from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any, TypeAlias

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dynamirror.cli.plan_schema import schema_document, schema_rows
from dynamirror.engines.plan import Estimate, Plan
from dynamirror.engines.plan_facts import TableSeen
from dynamirror.engines.plan_judge import tasks_of
from dynamirror.model.estimate import Cost
from dynamirror.model.finding import Severity
from dynamirror.model.prices import PRICES_OF
from dynamirror.model.table_definition import TableDefinition

Json: TypeAlias = dict[str, Any]

WIDTH = 110
# Raised when a field changes its meaning or goes.
FORMAT = 1
COUNTED = "counts and sizes are the service's last count, up to 6 hours old"
_STYLES = {Severity.STOP.value: "bold red", Severity.WARN.value: "yellow", Severity.READY.value: "green"}
_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_JOINS = {
    True: "the table is there, a start joins the task",
    False: "made by the first start",
    None: "not to be seen",
}
_SPANS = ((24 * 3600, "days"), (3600, "hours"), (60, "minutes"))


def document(plan: Plan) -> Json:
    """Everything that is shown, as JSON has it. None: not known."""
    settings = plan.settings
    return {
        "format": FORMAT,
        "ready": plan.ready,
        "source": _table(settings.source.region, settings.source.table, plan.source),
        "destination": _table(settings.destination.region, settings.destination.table, plan.destination),
        "stream": _stream(plan),
        "task": {"lease_table": settings.task.lease_table, "joins": plan.joins},
        "permissions": [
            {"side": right.side.value, "on": right.on, "action": right.action, "answer": right.answer.value}
            | ({"why": right.why} if right.why else {})
            for right in plan.rights
        ],
        "schema": schema_document(plan.schema),
        "estimate": _estimate(plan.estimate) if plan.estimate is not None else None,
        "findings": [
            {"severity": one.severity.value, "about": one.about, "what": one.what, "do": one.do}
            for one in plan.findings
        ],
    }


def as_json(plan: Plan) -> str:
    """For machines."""
    return msgspec.json.format(msgspec.json.encode(document(plan)), indent=2).decode()


def as_text(plan: Plan, width: int = WIDTH, *, color: bool = False) -> str:
    """For people."""
    shown = document(plan)
    out = StringIO()
    # Not as the environment has it: whoever asks has looked at the terminal.
    console = (
        Console(file=out, width=width, force_terminal=True, color_system="standard", highlight=False)
        if color
        else Console(file=out, width=width, force_terminal=False, color_system=None, highlight=False)
    )
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column()
    for what, text in _facts(shown):
        facts.add_row(what, escape(text))
    console.print(facts)
    console.print()
    if shown["schema"] is not None:
        schema = Table.grid(padding=(0, 2))
        for row in schema_rows(shown["schema"]):
            schema.add_row(*map(escape, row))
        console.print(schema)
        console.print()
    findings = Table.grid(padding=(0, 2))
    for one in shown["findings"]:
        do = f"\n-> {one['do']}" if one["do"] else ""
        mark = f"[{_STYLES[one['severity']]}]{one['severity']}[/]"
        findings.add_row(mark, escape(one["about"]), escape(f"{one['what']}{do}"))
    console.print(findings)
    console.print("[bold]ready[/]" if shown["ready"] else "[bold red]not ready[/]: mend what says stop")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _table(region: str, name: str, seen: TableSeen | None) -> Json:
    place: Json = {"region": region, "table": name}
    if seen is None:
        return place | {"seen": False}
    found = seen.definition
    return place | {
        "seen": True,
        "arn": seen.facts.arn,
        "endpoint": seen.url,
        "status": seen.facts.status,
        "key": str(seen.facts.schema),
        "items": seen.items,
        "size_bytes": seen.size_bytes,
        "counted_up_to_hours_ago": 6,
        "billing": _billing(found),
        "indexes": [index.name for index in (*found.global_indexes, *found.local_indexes)],
        "table_class": found.table_class,
        "encryption": found.encryption,
        "ttl": None if "ttl" in found.unoffered else (found.ttl or "off"),
        "replicas": list(seen.replicas),
    }


def _billing(found: TableDefinition) -> str:
    if not found.on_demand:
        return f"provisioned ({found.capacity or 'unknown'})"
    return "on-demand" + (f", at most {found.maxima}" if found.maxima is not None else "")


def _stream(plan: Plan) -> Json | None:
    if plan.source is None:
        return None
    facts, readers = plan.source.facts, plan.readers
    own = plan.settings.task.lease_table
    tasks = [task.lease_table for task in tasks_of(readers, facts.arn) if task.lease_table != own]
    return {
        "arn": facts.stream_arn,
        "view_type": facts.stream_view_type,
        "shards": len(plan.listing.shards) if plan.listing is not None else None,
        "open_shards": sum(shard.open for shard in plan.listing.shards) if plan.listing is not None else None,
        "readers": {
            "lambda": list(readers.mappings) if readers.mappings is not None else None,
            "tasks": tasks if readers.tasks is not None else None,
            "global_table": bool(plan.source.replicas),
        },
    }


def _estimate(found: Estimate) -> Json:
    copy, follow = found.copy, found.follow
    return {
        "items": found.load.items,
        "size_bytes": found.load.size_bytes,
        "average_item_bytes": found.load.average_bytes,
        "note": COUNTED,
        "copy": {
            "write_units": copy.write_units,
            "write_units_most": copy.write_units_most,
            "read_units": copy.read_units,
            "write_units_per_second": copy.rate.units_s,
            "rate_from": copy.rate.why,
            "seconds_at_least": copy.seconds,
            "usd": _cost(copy.least),
            "usd_most": _cost(copy.most),
        },
        "follow": {
            "usd_per_day_at_rest": _cost(follow.at_rest),
            "usd_per_million_changes_most": _cost(follow.million_changes),
            "usd_per_day": _cost(follow.day) if follow.day is not None else None,
        },
        "storage_usd_per_month": found.storage_month_usd,
        "prices": {
            "as_of": PRICES_OF,
            "regions": {one.region: {"exact": one.exact, "own": list(one.own)} for one in found.tariffs},
        },
    }


def _cost(cost: Cost) -> Json:
    return {"total": cost.usd, "parts": dict(cost.parts)}


def _facts(shown: Json) -> Iterator[tuple[str, str]]:
    for side in ("source", "destination"):
        yield side, _table_line(shown[side])
    if shown["stream"] is not None:
        yield "stream", _stream_line(shown["stream"])
        if shown["stream"]["arn"] is not None:
            yield "readers", _readers_line(shown["stream"]["readers"])
    yield "leases", f"{shown['task']['lease_table']}: {_JOINS[shown['task']['joins']]}"
    yield "permissions", _rights_line(shown["permissions"])
    if shown["estimate"] is not None:
        yield from _estimate_lines(shown["estimate"])


def _table_line(table: Json) -> str:
    place = f"{table['region']}/{table['table']}"
    if not table["seen"]:
        return f"{place}: not seen"
    ttl = {None: "not known", "off": "off"}.get(table["ttl"], f"by {table['ttl']}")
    parts = [
        table["status"],
        f"key {table['key']}",
        f"{table['items']:,} items, {_bytes(table['size_bytes'])} (counted up to 6 hours ago)",
        table["billing"],
        f"indexes {', '.join(table['indexes']) or 'none'}",
        f"time to live {ttl}",
    ]
    if table["replicas"]:
        parts.append(f"replicas in {', '.join(table['replicas'])}")
    return f"{place}: {'; '.join(parts)}"


def _stream_line(stream: Json) -> str:
    if stream["arn"] is None:
        return "off"
    shards = "not known" if stream["shards"] is None else f"{stream['shards']}, {stream['open_shards']} of them open"
    return f"on, {stream['view_type']}; shards: {shards}"


def _readers_line(readers: Json) -> str:
    def names(found: list[str] | None) -> str:
        return "not known" if found is None else ", ".join(found) or "none"

    replicas = "yes" if readers["global_table"] else "no"
    return f"Lambda: {names(readers['lambda'])}; other tasks: {names(readers['tasks'])}; global table: {replicas}"


def _rights_line(rights: list[Json]) -> str:
    def of(answer: str) -> str:
        found: dict[str, list[str]] = {}
        for right in rights:
            if right["answer"] == answer:
                found.setdefault(right["side"], []).append(right["action"])
        return "; ".join(f"{side} {', '.join(dict.fromkeys(actions))}" for side, actions in found.items())

    parts = ((answer, of(answer)) for answer in ("denied", "not checked", "allowed"))
    return "\n".join(f"{answer}: {text}" for answer, text in parts if text) or "not checked"


def _estimate_lines(found: Json) -> Iterator[tuple[str, str]]:
    copy, follow = found["copy"], found["follow"]
    rate = f"{copy['write_units_per_second']:,.0f} a second ({copy['rate_from']})"
    time = "never" if copy["seconds_at_least"] is None else _span(copy["seconds_at_least"])
    average = f"items of {found['average_item_bytes']:,} bytes on average"
    yield "copy takes", f"{time}: {copy['write_units']:,} write units at {rate}; {average}"
    yield "copy costs", f"{_range(copy['usd'], copy['usd_most'])} USD, on demand{_parts(copy['usd_most'])}"
    yield "storage", f"{_usd(found['storage_usd_per_month'])} USD a month, without indexes"
    rest = f"{_usd(follow['usd_per_day_at_rest']['total'])} USD a day at rest"
    million = f"{_usd(follow['usd_per_million_changes_most']['total'])} USD for each million changes at most"
    day = follow["usd_per_day"]
    given = f"; {_usd(day['total'])} USD a day with the changes that were said" if day is not None else ""
    yield "following", f"{rest}, and {million}{given}"
    yield "reckoned", f"{COUNTED}; prices of {found['prices']['as_of']}{_floors(found['prices']['regions'])}"


def _floors(regions: Mapping[str, Json]) -> str:
    floors = [region for region, known in regions.items() if not known["exact"]]
    return (
        f"; those of {', '.join(floors)} are not listed: reckoned with those of US East, which are lower"
        if floors
        else ""
    )


def _range(least: Json, most: Json) -> str:
    low, high = _usd(least["total"]), _usd(most["total"])
    return low if low == high else f"{low} to {high}"


def _parts(cost: Json) -> str:
    parts = ", ".join(f"{what} {_usd(usd)}" for what, usd in cost["parts"].items())
    return f" ({parts})" if parts else ""


def _usd(amount: float) -> str:
    return "less than 0.01" if 0 < amount < 0.005 else f"{amount:,.2f}"


def _bytes(size: int) -> str:
    return next((f"{size / unit:.1f} {name}" for unit, name in _UNITS if size >= unit), f"{size} bytes")


def _span(seconds: float) -> str:
    """Rounded, of a time that may well be longer."""
    if seconds < 1:
        return "seconds at least"
    spans = (f"{seconds / unit:.1f} {name} at least" for unit, name in _SPANS if seconds >= unit)
    return next(spans, f"{seconds:.0f} seconds at least")
