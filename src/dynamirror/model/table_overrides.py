"""The definition that a destination is to have: the source's, with what the configuration says otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from dynamirror.errors import Refused
from dynamirror.model.table_definition import (
    AWS_MANAGED,
    AWS_OWNED,
    MARK,
    STANDARD,
    TAG_PREFIX_OF_AWS,
    TAGS_MAX,
    WARM_AT_FIRST_READ,
    WARM_AT_FIRST_WRITE,
    Index,
    TableDefinition,
    Throughput,
)

VIEW_TYPES = ("NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY")
TABLE_CLASSES = (STANDARD, "STANDARD_INFREQUENT_ACCESS")
BILLINGS = ("on-demand", "provisioned")
# As long as the service keeps them at most, and unless told otherwise.
RECOVERY_DAYS_MAX = 35

_CAPACITIES = ("read_capacity", "write_capacity")
_MAXIMA = ("read_max", "write_max")
_INDEX_SETTINGS = (*_CAPACITIES, *_MAXIMA)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the clone is to differ from its source.

    `overrides`, all optional: billing ("on-demand", "provisioned"), read_capacity, write_capacity, read_max, write_max
    (0: no maximum), table_class, encryption ("aws-owned", "aws-managed", or a KMS key of the destination's Region),
    deletion_protection (boolean), stream (view type, or "off"), recovery (boolean, or days), ttl (attribute, or "off"),
    tags (by name; null or false: not that one), indexes (by name: false to leave it out, or a map of its capacities and
    maxima), warm_throughput (boolean: as the source's; what is beyond a new table's is charged for).
    """

    destination_region: str
    overrides: Mapping[str, object] = field(default_factory=dict)
    # Where the overrides were read, for messages.
    origin: str = ""


def wanted(source: TableDefinition, wishes: Wishes) -> TableDefinition:
    """What is asked for. Raises Refused: an override that cannot be."""
    try:
        return _wanted(source, wishes.overrides)
    except Refused as error:
        if not wishes.origin:
            raise
        raise Refused(f"{wishes.origin}: {error}") from error


def check_overrides(overrides: Mapping[str, object]) -> None:
    """Raises Refused for what cannot be whatever the source is: unknown names, wrong values."""
    indexes = overrides.get("indexes")
    named = tuple(Index(name, (), "ALL") for name in indexes) if isinstance(indexes, Mapping) else ()
    _carried_out(TableDefinition((), {}, global_indexes=named), overrides)


def _wanted(source: TableDefinition, overrides: Mapping[str, object]) -> TableDefinition:
    tags = {name: value for name, value in source.tags.items() if not _is_reserved(name)}
    found = replace(source, tags=tags, arn="")
    found = _carried_out(found, overrides)
    _check_billing(found, overrides)
    return _with_warm(_with_capacity(found).one_throughput(), overrides.get("warm_throughput") is True)


def _carried_out(definition: TableDefinition, overrides: Mapping[str, object]) -> TableDefinition:
    unknown = sorted(overrides.keys() - _SETTERS.keys())
    if unknown:
        raise Refused(f"unknown setting of the destination table: {unknown[0]}; there are {', '.join(_SETTERS)}")
    for name, setter in _SETTERS.items():
        if name in overrides:
            definition = setter(definition, overrides[name])
    return definition


def check_makeable(source: TableDefinition, want: TableDefinition, wishes: Wishes) -> None:
    """Raises Refused for what no table there can be made with: another Region's key, too many tags."""
    parts = source.encryption.split(":")
    # By its ARN, a customer's key and the account's own one for DynamoDB look the same.
    if want.encryption == source.encryption and len(parts) > 3 and parts[3] != wishes.destination_region:
        region = wishes.destination_region
        raise Refused(
            f"the source table is encrypted with a KMS key of {parts[3]}, which a table in {region} cannot use: set "
            f'encryption for the destination table to a key of {region}, to "{AWS_MANAGED}" or to "{AWS_OWNED}"'
        )
    if len(want.tags) >= TAGS_MAX:
        raise Refused(
            f"the source table has {len(want.tags)} tags, and the clone needs one of the {TAGS_MAX} for itself until "
            "it is finished: leave one out (tags in the settings of the destination table)"
        )


def _is_reserved(tag: str) -> bool:
    return tag.lower().startswith(TAG_PREFIX_OF_AWS) or tag == MARK


def _check_billing(definition: TableDefinition, overrides: Mapping[str, object]) -> None:
    billing, idle = ("on demand", _CAPACITIES) if definition.on_demand else ("provisioned", _MAXIMA)
    for name in idle:
        if name in overrides:
            raise Refused(f"{name} is without effect: the destination table is to be {billing}; set billing too")


def _with_capacity(definition: TableDefinition) -> TableDefinition:
    """Provisioned indexes have capacity of their own; one without gets as much as the table."""
    if definition.on_demand:
        return definition
    capacity = definition.capacity
    if capacity is None or not capacity.read or not capacity.write:
        raise Refused(
            "a provisioned destination table needs read_capacity and write_capacity (the source table is on demand)"
        )
    indexes = tuple(replace(index, capacity=_whole(index.capacity, capacity)) for index in definition.global_indexes)
    return replace(definition, global_indexes=indexes)


def _whole(given: Throughput | None, otherwise: Throughput) -> Throughput:
    given = given or Throughput()
    return Throughput(given.read or otherwise.read, given.write or otherwise.write)


def _with_warm(definition: TableDefinition, asked: bool) -> TableDefinition:
    def warm(found: Throughput | None, capacity: Throughput | None) -> Throughput | None:
        """Less than what the table has from the beginning is refused by the service."""
        at_first = capacity or Throughput(WARM_AT_FIRST_READ, WARM_AT_FIRST_WRITE)
        return found.above(at_first) if asked and found is not None else None

    indexes = tuple(replace(index, warm=warm(index.warm, index.capacity)) for index in definition.global_indexes)
    return replace(definition, warm=warm(definition.warm, definition.capacity), global_indexes=indexes)


def _billing(definition: TableDefinition, value: object) -> TableDefinition:
    return replace(definition, on_demand=_one_of("billing", value, BILLINGS) == "on-demand")


def _units(name: str) -> Callable[[TableDefinition, object], TableDefinition]:
    def set_units(definition: TableDefinition, value: object) -> TableDefinition:
        if name.endswith("capacity"):
            return replace(definition, capacity=_with_units(definition.capacity, name, value))
        return replace(definition, maxima=_with_units(definition.maxima, name, value))

    return set_units


def _with_units(found: Throughput | None, name: str, value: object) -> Throughput | None:
    least = 1 if name.endswith("capacity") else 0
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refused(f"{name} of the destination table must be a whole number of at least {least}, not {value!r}")
    found = found or Throughput()
    changed = replace(found, read=value or None) if name.startswith("read") else replace(found, write=value or None)
    return None if changed == Throughput() else changed


def _table_class(definition: TableDefinition, value: object) -> TableDefinition:
    return replace(definition, table_class=_one_of("table_class", value, TABLE_CLASSES))


def _encryption(definition: TableDefinition, value: object) -> TableDefinition:
    return replace(definition, encryption=_text("encryption", value))


def _deletion_protection(definition: TableDefinition, value: object) -> TableDefinition:
    return replace(definition, deletion_protection=_switch("deletion_protection", value))


def _warm_throughput(definition: TableDefinition, value: object) -> TableDefinition:
    """Carried out last, when the table's capacity is known."""
    _switch("warm_throughput", value)
    return definition


def _stream(definition: TableDefinition, value: object) -> TableDefinition:
    stream = _one_of("stream", value, (*VIEW_TYPES, "off"))
    return replace(definition, stream=None if stream == "off" else stream)


def _recovery(definition: TableDefinition, value: object) -> TableDefinition:
    if isinstance(value, bool):
        days = (definition.recovery_days or RECOVERY_DAYS_MAX) if value else None
        return replace(definition, recovery_days=days)
    if not isinstance(value, int) or not 1 <= value <= RECOVERY_DAYS_MAX:
        allowed = f"true, false, or 1 to {RECOVERY_DAYS_MAX} days"
        raise Refused(f"recovery of the destination table must be {allowed}, not {value!r}")
    return replace(definition, recovery_days=value)


def _ttl(definition: TableDefinition, value: object) -> TableDefinition:
    attribute = _text("ttl", value)
    return replace(definition, ttl=None if attribute == "off" else attribute)


def _tags(definition: TableDefinition, value: object) -> TableDefinition:
    tags = dict(definition.tags)
    for name, given in _map("tags", value).items():
        if _is_reserved(name):
            raise Refused(f"the tag {name} of the destination table cannot be set: the name is reserved")
        if given is None or given is False:
            tags.pop(name, None)
        elif isinstance(given, str):
            tags[name] = given
        else:
            raise Refused(f"the tag {name} of the destination table must be a text, or false to leave it out")
    return replace(definition, tags=tags)


def _indexes(definition: TableDefinition, value: object) -> TableDefinition:
    settings = _map("indexes", value)
    names = [index.name for index in (*definition.global_indexes, *definition.local_indexes)]
    for name in settings:
        if name not in names:
            raise Refused(f"the source table has no index {name}; it has {', '.join(names) or 'none'}")
    changed = tuple(_index(index, settings.get(index.name, {})) for index in definition.global_indexes)
    local = tuple(index for index in definition.local_indexes if _is_kept(index, settings.get(index.name, True)))
    kept = tuple(index for index in changed if index is not None)
    return replace(definition, global_indexes=kept, local_indexes=local)


def _is_kept(index: Index, value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"the local index {index.name} has no settings of its own; false leaves it out")
    return value


def _index(index: Index, value: object) -> Index | None:
    if isinstance(value, bool):
        return index if value else None
    for name, units in _map(f"index {index.name}", value).items():
        if name not in _INDEX_SETTINGS:
            raise Refused(f"unknown setting {name} of the index {index.name}; there are {', '.join(_INDEX_SETTINGS)}")
        if name.endswith("capacity"):
            index = replace(index, capacity=_with_units(index.capacity, name, units))
        else:
            index = replace(index, maxima=_with_units(index.maxima, name, units))
    return index


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise Refused(f"{name} of the destination table must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"{name} of the destination table must be true or false, not {value!r}")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Refused(f"{name} of the destination table must be a text, not {value!r}")
    return value


def _map(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Refused(f"{name} of the destination table must be a map by name, not {value!r}")
    return cast("Mapping[str, object]", value)


# In the order in which they are carried out.
_SETTERS: dict[str, Callable[[TableDefinition, object], TableDefinition]] = {
    "billing": _billing,
    **{name: _units(name) for name in _INDEX_SETTINGS},
    "table_class": _table_class,
    "encryption": _encryption,
    "deletion_protection": _deletion_protection,
    "stream": _stream,
    "recovery": _recovery,
    "ttl": _ttl,
    "tags": _tags,
    "indexes": _indexes,
    "warm_throughput": _warm_throughput,
}
# What a file of overrides may hold, and what one of its indexes may.
SETTINGS = tuple(_SETTERS)
INDEX_SETTINGS = _INDEX_SETTINGS
