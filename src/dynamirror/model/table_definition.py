"""What a table is defined as, and what is left to do until another table is defined like it.

A clone is made in one request that holds as much as a request can; the rest are steps, each of which can be repeated.
A mark among its tags says that steps are left: a table without one is somebody's own, and is left as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

# Attribute and role (HASH, RANGE), in order. An index may have several attributes of one role.
Keys: TypeAlias = tuple[tuple[str, str], ...]

# Encryption with a key that costs nothing and is nobody's, and with the account's own key for DynamoDB.
AWS_OWNED = "aws-owned"
AWS_MANAGED = "aws-managed"
# The table class of a table that names none.
STANDARD = "STANDARD"

# The tag of a clone that is not finished. Its value: the source table.
MARK = "dynamirror:unfinished-clone-of"
# Developer Guide, "Tagging restrictions".
TAGS_MAX = 50
TAG_VALUE_LENGTH_MAX = 256
TAG_PREFIX_OF_AWS = "aws:"

# What every on-demand table and index can do from its first second (Developer Guide, "Warm throughput").
WARM_AT_FIRST_READ = 12_000
WARM_AT_FIRST_WRITE = 4_000


@dataclass(frozen=True, slots=True)
class Throughput:
    """Units a second, of what the field that holds it says; None: not given."""

    read: int | None = None
    write: int | None = None

    def above(self, floor: "Throughput") -> "Throughput | None":
        """What of it is more than the floor; None: nothing."""
        read = self.read if (self.read or 0) > (floor.read or 0) else None
        write = self.write if (self.write or 0) > (floor.write or 0) else None
        return None if read is None and write is None else Throughput(read, write)

    def __str__(self) -> str:
        parts = ((self.read, "read"), (self.write, "write"))
        return ", ".join(f"{units} {what}" for units, what in parts if units is not None)


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index. Local ones share the throughput of their table."""

    name: str
    keys: Keys
    # ALL, KEYS_ONLY, INCLUDE; the latter with the attributes.
    projection: str
    attributes: tuple[str, ...] = ()
    capacity: Throughput | None = None
    maxima: Throughput | None = None
    warm: Throughput | None = None


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A table without its name and items. `capacity` is of provisioned tables, `maxima` of on-demand ones."""

    keys: Keys
    # Types of all key attributes, those of indexes included.
    types: Mapping[str, str]
    local_indexes: tuple[Index, ...] = ()
    global_indexes: tuple[Index, ...] = ()
    on_demand: bool = True
    capacity: Throughput | None = None
    maxima: Throughput | None = None
    warm: Throughput | None = None
    table_class: str = STANDARD
    # AWS_OWNED, AWS_MANAGED, or what names a KMS key.
    encryption: str = AWS_OWNED
    tags: Mapping[str, str] = field(default_factory=dict)
    deletion_protection: bool = False
    # The stream's view type; None: off.
    stream: str | None = None
    # How far back point-in-time recovery reaches; None: off.
    recovery_days: int | None = None
    # The attribute by which items expire; None: they do not.
    ttl: str | None = None
    arn: str = ""
    # Fields that the table's service does not offer ("tags", "recovery_days", "ttl"): they say nothing.
    unoffered: frozenset[str] = frozenset()
    # What the table has and this does not hold, in words.
    beyond: tuple[str, ...] = ()

    def types_of(self, *keys: Keys) -> dict[str, str]:
        """The types of the attributes of these keys, in order, each once."""
        return {attribute: self.types[attribute] for one in keys for attribute, _ in one}

    def without_indexes(self) -> "TableDefinition":
        """The same without the indexes that can be added later."""
        return replace(self, global_indexes=())

    def one_throughput(self) -> "TableDefinition":
        """The same without throughput of the billing that it does not have."""
        indexes = tuple(_one_throughput(index, self.on_demand) for index in self.global_indexes)
        capacity = None if self.on_demand else self.capacity
        maxima = self.maxima if self.on_demand else None
        return replace(self, capacity=capacity, maxima=maxima, global_indexes=indexes)


def _one_throughput(index: Index, on_demand: bool) -> Index:
    return replace(index, maxima=None) if not on_demand else replace(index, capacity=None)


@dataclass(frozen=True, slots=True)
class AddTags:
    """Tags that the table lacks."""

    tags: Mapping[str, str]

    def done(self, found: TableDefinition) -> bool:
        """Whether nothing is left to do."""
        return self.tags.keys() <= found.tags.keys()

    def __str__(self) -> str:
        return f"tags {', '.join(self.tags)}"


@dataclass(frozen=True, slots=True)
class SetRecovery:
    """Switch point-in-time recovery on."""

    days: int

    def done(self, found: TableDefinition) -> bool:
        """Whether nothing is left to do."""
        return found.recovery_days is not None

    def __str__(self) -> str:
        return "point-in-time recovery"


@dataclass(frozen=True, slots=True)
class AddIndex:
    """Add an index, one at a time."""

    index: Index
    types: Mapping[str, str]

    def done(self, found: TableDefinition) -> bool:
        """Whether nothing is left to do."""
        return any(index.name == self.index.name for index in found.global_indexes)

    def __str__(self) -> str:
        return f"index {self.index.name}"


@dataclass(frozen=True, slots=True)
class SetTtl:
    """Let items expire."""

    attribute: str

    def done(self, found: TableDefinition) -> bool:
        """Whether nothing is left to do."""
        return found.ttl is not None

    def __str__(self) -> str:
        return f"time to live by {self.attribute}"


@dataclass(frozen=True, slots=True)
class Unmark:
    """The clone is finished, and from now on somebody's own."""

    def done(self, found: TableDefinition) -> bool:
        """Whether nothing is left to do."""
        return MARK not in found.tags

    def __str__(self) -> str:
        return f"the end of the tag {MARK}"


Step: TypeAlias = AddTags | SetRecovery | AddIndex | SetTtl | Unmark


@dataclass(frozen=True, slots=True)
class Steps:
    """What is left, in order: before items are copied, and when they all are there."""

    before_copy: tuple[Step, ...] = ()
    after_copy: tuple[Step, ...] = ()


def steps(wanted: TableDefinition, found: TableDefinition, indexes_after_copy: bool) -> Steps:
    """What is left until the unfinished clone `found` is as wanted. Nothing that it has is changed.

    Time to live comes last: an item that expires at the destination, and is extended or copied once more, would be
    gone in between; and the copy would be of a table that shrinks by itself.
    """
    indexes = tuple(
        AddIndex(index, wanted.types_of(index.keys))
        for index in wanted.global_indexes
        if index.name not in {there.name for there in found.global_indexes}
    )
    missing = {key: value for key, value in wanted.tags.items() if key not in found.tags}
    before: list[Step] = []
    after: list[Step] = []
    if missing and "tags" not in found.unoffered:
        before.append(AddTags(missing))
    if wanted.recovery_days is not None and found.recovery_days is None and "recovery_days" not in found.unoffered:
        before.append(SetRecovery(wanted.recovery_days))
    (after if indexes_after_copy else before).extend(indexes)
    if wanted.ttl is not None and found.ttl is None and "ttl" not in found.unoffered:
        after.append(SetTtl(wanted.ttl))
    if MARK in found.tags:
        after.append(Unmark())
    return Steps(tuple(before), tuple(after))


def mark_of(source_arn: str) -> str:
    """The value of MARK. A name is long, and a tag's value is not: the end of it tells tables apart."""
    return source_arn[-TAG_VALUE_LENGTH_MAX:]


def is_unfinished(found: TableDefinition) -> bool:
    """Whether the table is a clone with steps left; where there are no tags to tell, every table may be."""
    return MARK in found.tags or "tags" in found.unoffered
