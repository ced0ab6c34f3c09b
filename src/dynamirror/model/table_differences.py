"""How two tables differ in what they are defined as, in lines for an operator."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from dynamirror.model.table_definition import (
    MARK,
    TAG_PREFIX_OF_AWS,
    Index,
    Keys,
    TableDefinition,
    Throughput,
)


class Severity(Enum):
    """What a difference may do; the value is the word used in messages."""

    # Nothing can be replicated, or not every item.
    BREAKS = "breaks"
    # Writes may be refused or throttled at the destination, or items may vanish there.
    RISKS = "risks"
    # The destination is another table for its readers, its owner, or its bill.
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not the same."""

    severity: Severity
    # As in the settings of the destination table, or "keys".
    setting: str
    line: str


def differences(source: TableDefinition, destination: TableDefinition) -> tuple[Difference, ...]:
    """All of them, the worst first. What a side's service does not offer is said, and not compared."""
    found = [
        *_keys(source, destination),
        *_types(source, destination),
        *_indexes(source, destination),
        *_throughput(source, destination),
        *_ttl(source, destination),
        *_others(source, destination),
        *_tags(source, destination),
        *_unoffered(source, destination),
        *(_differs("others", f"the source has {what}") for what in source.beyond),
        *(_differs("others", f"the destination has {what}") for what in destination.beyond),
    ]
    order = list(Severity)
    return tuple(sorted(found, key=lambda difference: order.index(difference.severity)))


def _differs(setting: str, line: str) -> Difference:
    return Difference(Severity.DIFFERS, setting, line)


def _risks(setting: str, line: str) -> Difference:
    return Difference(Severity.RISKS, setting, line)


def _of_both(what: str, source: object, destination: object) -> str:
    return f"{what}: source {source}, destination {destination}"


def _keys(source: TableDefinition, destination: TableDefinition) -> Iterator[Difference]:
    here, there = _typed(source, source.keys), _typed(destination, destination.keys)
    if here != there:
        yield Difference(Severity.BREAKS, "keys", _of_both("primary key", here, there))


def _types(source: TableDefinition, destination: TableDefinition) -> Iterator[Difference]:
    """A key attribute of both has the type of its table in every item: here one that is refused there."""
    ours, theirs = ({name for name, _ in one.keys} for one in (source, destination))
    for name in sorted((source.types.keys() & destination.types.keys()) - (ours & theirs)):
        here, there = source.types[name], destination.types[name]
        if here != there:
            types = f"as a key of type {here} at the source, {there} at the destination"
            line = f"attribute {name}: {types}, where an item that has it is refused"
            yield Difference(Severity.BREAKS, "indexes", line)


def _typed(definition: TableDefinition, keys: Keys) -> str:
    return ", ".join(f"{name} ({definition.types[name]}, {role.lower()})" for name, role in keys)


def _indexes(source: TableDefinition, destination: TableDefinition) -> Iterator[Difference]:
    kinds = (
        ("index", source.global_indexes, destination.global_indexes),
        ("local index", source.local_indexes, destination.local_indexes),
    )
    for what, here, there in kinds:
        ours, theirs = ({index.name: index for index in indexes} for indexes in (here, there))
        for name in sorted(ours.keys() - theirs.keys()):
            yield _differs("indexes", f"{what} {name}: only at the source")
        for name in sorted(theirs.keys() - ours.keys()):
            typed = _typed(destination, theirs[name].keys)
            may = f"an item whose {typed} is of another type is refused there"
            yield _risks("indexes", f"{what} {name}: only at the destination; {may}")
        for name in sorted(ours.keys() & theirs.keys()):
            yield from _index(f"{what} {name}", (source, ours[name]), (destination, theirs[name]))


_Of: TypeAlias = tuple[TableDefinition, Index]


def _index(what: str, source: _Of, destination: _Of) -> Iterator[Difference]:
    (here, ours), (there, theirs) = source, destination
    if _typed(here, ours.keys) != _typed(there, theirs.keys):
        yield _risks("indexes", _of_both(f"key of {what}", _typed(here, ours.keys), _typed(there, theirs.keys)))
    if _projection(ours) != _projection(theirs):
        yield _differs("indexes", _of_both(f"projection of {what}", _projection(ours), _projection(theirs)))
    if here.on_demand == there.on_demand:
        yield from _units(f" of {what}", "indexes", (ours.capacity, theirs.capacity), (ours.maxima, theirs.maxima))


def _projection(index: Index) -> str:
    # The service keeps them in no order.
    return " ".join((index.projection, *sorted(index.attributes)))


def _throughput(source: TableDefinition, destination: TableDefinition) -> Iterator[Difference]:
    if source.on_demand != destination.on_demand:
        line = _of_both("billing", _billing(source), _billing(destination))
        yield _differs("billing", line) if destination.on_demand else _risks("billing", line)
    else:
        capacities = source.capacity, destination.capacity
        yield from _units("", "capacity", capacities, (source.maxima, destination.maxima))
    if source.warm is not None and destination.warm is not None and source.warm.above(destination.warm):
        yield _differs("warm_throughput", _of_both("warm throughput", source.warm, destination.warm))


def _billing(definition: TableDefinition) -> str:
    return "on-demand" if definition.on_demand else f"provisioned ({definition.capacity or 'unknown'})"


def _units(
    of: str,
    setting: str,
    capacities: tuple[Throughput | None, Throughput | None],
    maxima: tuple[Throughput | None, Throughput | None],
) -> Iterator[Difference]:
    here, there = (capacity or Throughput() for capacity in capacities)
    if here != there:
        make = _risks if (there.write or 0) < (here.write or 0) else _differs
        yield make(setting, _of_both(f"capacity{of}", str(here) or "none", str(there) or "none"))
    here, there = (maximum or Throughput() for maximum in maxima)
    if here != there:
        lower = there.write is not None and (here.write is None or there.write < here.write)
        shown = _of_both(f"on-demand maximum{of}", str(here) or "none", str(there) or "none")
        yield (_risks if lower else _differs)(setting, shown)


def _ttl(source: TableDefinition, destination: TableDefinition) -> Iterator[Difference]:
    if source.ttl == destination.ttl or "ttl" in source.unoffered | destination.unoffered:
        return
    line = _of_both("time to live", source.ttl or "off", destination.ttl or "off")
    if destination.ttl is None:
        yield _differs("ttl", line)
    else:
        yield _risks("ttl", f"{line}; items vanish there that the source has")


def _others(source: TableDefinition, destination: TableDefinition) -> Iterator[Difference]:
    pairs = [
        ("table_class", "table class", source.table_class, destination.table_class),
        ("deletion_protection", "deletion protection", _on(source), _on(destination)),
        ("stream", "stream", source.stream or "off", destination.stream or "off"),
    ]
    if _key_id(source.encryption) != _key_id(destination.encryption):
        pairs.append(("encryption", "encryption", source.encryption, destination.encryption))
    if "recovery_days" not in source.unoffered | destination.unoffered:
        days = (f"{one.recovery_days} days" if one.recovery_days else "off" for one in (source, destination))
        pairs.append(("recovery", "point-in-time recovery", next(days), next(days)))
    for setting, what, here, there in pairs:
        if here != there:
            yield _differs(setting, _of_both(what, here, there))


def _on(definition: TableDefinition) -> str:
    return "on" if definition.deletion_protection else "off"


def _key_id(encryption: str) -> str:
    """A multi-Region key has the same id in each of its Regions; any other key's id is its own."""
    return encryption.rpartition("/")[2]


def _tags(source: TableDefinition, destination: TableDefinition) -> Iterator[Difference]:
    if "tags" in source.unoffered | destination.unoffered:
        return
    for name in sorted(source.tags.keys() | destination.tags.keys()):
        here, there = source.tags.get(name), destination.tags.get(name)
        if here != there and name != MARK and not name.lower().startswith(TAG_PREFIX_OF_AWS):
            where = "only at the destination" if here is None else "only at the source"
            yield _differs("tags", f"tag {name}: {'not the same' if None not in (here, there) else where}")


def _unoffered(source: TableDefinition, destination: TableDefinition) -> Iterator[Difference]:
    names = {"tags": "tags", "recovery_days": "point-in-time recovery", "ttl": "time to live"}
    for field, what in names.items():
        sides = [word for word, one in (("source", source), ("destination", destination)) if field in one.unoffered]
        if sides:
            yield _differs(
                field,
                f"{what}: not known of the {' and the '.join(sides)} (not offered by its service, or not allowed)",
            )
