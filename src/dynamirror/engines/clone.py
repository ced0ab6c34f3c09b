"""`--create-destination`: a destination that is defined like its source, made when there is none.

`ensure_destination` before anything is copied, `finish_destination` once all is: indexes that were left for later, and
time to live. Both may be called by every worker at every start: what is done is not done again, and what a crash left
is finished. What is finished, or was not made here, belongs to the operator and is not changed.

Rights: DescribeTable, ListTagsOfResource, DescribeContinuousBackups, DescribeTimeToLive on both tables; at the
destination also CreateTable, TagResource, UntagResource, UpdateTable, UpdateContinuousBackups, UpdateTimeToLive, and
what a KMS key of one's own needs (kms:DescribeKey, kms:CreateGrant).

Not taken over, and not seen: auto scaling, resource policies, Kinesis destinations, contributor insights, alarms.
Replicas of a global table and vector indexes are said (`Ensured.differences`), and not made.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from dynamirror.aws.control_plane import ControlPlane
from dynamirror.aws.table_definition import TableDefinitions
from dynamirror.errors import NotFound, Side, Stop
from dynamirror.model.table_definition import MARK, TableDefinition, is_unfinished, mark_of, steps
from dynamirror.model.table_differences import Difference, Severity, differences
from dynamirror.model.table_overrides import Wishes, check_makeable, wanted
from dynamirror.ports import Clock

log = logging.getLogger("dynamirror.clone")


@dataclass(frozen=True, slots=True)
class CloneOptions:
    """How the destination is made; the same at every start of a task."""

    destination_region: str
    # Items are written faster, and cheaper, into a table without indexes.
    indexes_after_copy: bool = False
    # See model/table_overrides.Wishes.
    overrides: Mapping[str, object] = field(default_factory=dict)
    # Where they were read, for messages.
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Ensured:
    """The destination as it now is."""

    # By this call.
    created: bool
    # `finish_destination` has something left to do.
    unfinished: bool
    # Between what was asked for and what is there, the worst first; never one that breaks.
    differences: tuple[Difference, ...]


async def ensure_destination(
    source_control: ControlPlane,
    destination_control: ControlPlane,
    source_table: str,
    destination_table: str,
    options: CloneOptions,
    clock: Clock,
) -> Ensured:
    """The destination, active, with all that it may have before the copy; made if there is none. Idempotent.

    One that was there is compared, and left as it is: whether items in it are allowed is the copy's question.
    Raises Refused (overrides, the source's key: nothing was made), Stop, or a Retry that did not pass.
    """
    clone = _Clone(source_control, destination_control, (source_table, destination_table), options, clock)
    return await clone.ensure()


async def finish_destination(
    source_control: ControlPlane,
    destination_control: ControlPlane,
    source_table: str,
    destination_table: str,
    options: CloneOptions,
    clock: Clock,
) -> Ensured:
    """What is left when the destination has all items: indexes, then time to live, then no mark. Idempotent.

    Waits for indexes, which may take hours; cancelled or crashed, the next call goes on. Raises as ensure_destination.
    """
    clone = _Clone(source_control, destination_control, (source_table, destination_table), options, clock)
    return await clone.finish()


async def compare_definitions(
    source_control: ControlPlane,
    destination_control: ControlPlane,
    source_table: str,
    destination_table: str,
    clock: Clock,
) -> tuple[Difference, ...]:
    """How the two tables differ, the worst first; changes nothing. Raises NotFound, other Stop, Retry.

    Needs the right to describe both; what else may not be asked is said, and not compared.
    """
    source = await TableDefinitions(source_control, clock).seen(source_table)
    return differences(source, await TableDefinitions(destination_control, clock).seen(destination_table))


class _Clone:
    """One call of either entry."""

    def __init__(
        self,
        source: ControlPlane,
        destination: ControlPlane,
        tables: tuple[str, str],
        options: CloneOptions,
        clock: Clock,
    ) -> None:
        self._control = destination
        self._here = TableDefinitions(source, clock)
        self._there = TableDefinitions(destination, clock)
        self._source, self._name = tables
        self._options = options
        self._wishes = Wishes(options.destination_region, options.overrides, options.origin)

    async def ensure(self) -> Ensured:
        found = await self._found()
        source = await self._here.read(self._source)
        want = wanted(source, self._wishes)
        if found is not None and not is_unfinished(found):
            return self._told(want, found)
        created = False
        if found is None:
            check_makeable(source, want, self._wishes)
            at_first = want.without_indexes() if self._options.indexes_after_copy else want
            created = await self._there.create(self._name, at_first, mark_of(source.arn))
            found = await self._there.read(self._name)
            if created:
                self._say_created()
            elif not is_unfinished(found):
                # Somebody else's, made in between.
                return self._told(want, found)
        return await self._go_on(source, want, found, created=created, last=False)

    async def finish(self) -> Ensured:
        found = await self._there.read(self._name)
        source = await self._here.read(self._source)
        want = wanted(source, self._wishes)
        if not is_unfinished(found):
            return Ensured(False, False, differences(want, found))
        return await self._go_on(source, want, found, created=False, last=True)

    async def _go_on(
        self, source: TableDefinition, want: TableDefinition, found: TableDefinition, *, created: bool, last: bool
    ) -> Ensured:
        self._check(source, want, found)
        left = steps(want, found, self._options.indexes_after_copy)
        for step in (*left.before_copy, *(left.after_copy if last else ())):
            await self._there.carry_out(self._name, step)
        found = await self._there.read(self._name)
        left = steps(want, found, self._options.indexes_after_copy)
        return Ensured(created, bool(left.after_copy), differences(want, found))

    async def _found(self) -> TableDefinition | None:
        """Waits for one that another worker is creating."""
        try:
            facts = await self._control.describe_table(self._name)
            if facts.status in ("CREATING", "DELETING"):
                await self._control.until_active(self._name)
            return await self._there.read(self._name)
        except NotFound:
            return None

    def _check(self, source: TableDefinition, want: TableDefinition, found: TableDefinition) -> None:
        """It is this source's clone, and can be."""
        mark = mark_of(source.arn)
        if found.tags.get(MARK, mark) != mark:
            raise Stop(
                Side.DESTINATION,
                f"the table {self._name} is an unfinished clone of {found.tags[MARK]}, not of {mark}: name another "
                f"destination table, or remove its tag {MARK} to keep it as it is",
            )
        self._check_keys(differences(want, found))

    def _check_keys(self, found: tuple[Difference, ...]) -> None:
        for difference in found:
            if difference.severity is Severity.BREAKS:
                raise Stop(
                    Side.DESTINATION,
                    f"the table {self._name} is there, and cannot be a copy of {self._source}: {difference.line}; name "
                    "another destination table",
                )

    def _told(self, want: TableDefinition, found: TableDefinition) -> Ensured:
        """A table that is the operator's: what is different is said, and may be meant."""
        there = differences(want, found)
        self._check_keys(there)
        for difference in there:
            level = logging.WARNING if difference.severity is Severity.RISKS else logging.INFO
            facts = {"setting": difference.setting, "severity": difference.severity.value}
            extra = {"event": "definitions_differ", "facts": facts}
            log.log(level, "the destination table %s is left as it is; %s", self._name, difference.line, extra=extra)
        return Ensured(False, False, there)

    def _say_created(self) -> None:
        log.info(
            "created table %s as %s is defined%s, without auto scaling, resource policy and the like; time to live "
            "comes after the copy",
            self._name,
            self._source,
            f", but for {self._options.origin or 'what was asked for'}" if self._options.overrides else "",
            extra={"event": "destination_created", "facts": {"table": self._name}},
        )
