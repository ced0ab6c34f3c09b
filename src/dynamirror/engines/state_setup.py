"""Finds or makes the state table, and lets no task name stand for two pairs of tables.

Rights of a Java tool's user may cover the lease table only: its form of the command line goes on without a state
table, said once (design: liveness falls back to the lease rows).
"""

import logging
from dataclasses import dataclass, field

from dynamirror.aws.state_table import Incarnation, StateTable
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Reach
from dynamirror.engines.table_checks import check_in_service, check_own
from dynamirror.errors import AccessDenied, NotFound, Refused, Side
from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.groups import ReplicationSettings

log = logging.getLogger("dynamirror")

STATE_SCHEMA = KeySchema(KeyAttribute("kind", "S"), KeyAttribute("id", "S"))


@dataclass
class StateSetup:
    """Used once, at start: `refuse_other_pair` before anything is changed, then `open`."""

    reach: Reach
    settings: ReplicationSettings
    clock: Clock
    # ARNs of source and destination.
    pair: tuple[str, str]
    _denied: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        """The state table's name."""
        return state_table_name(self.settings.task.lease_table)

    async def refuse_other_pair(self, incarnation: Incarnation) -> None:
        """Raises Refused when an existing state table has the task name for another pair; creates no table.

        `incarnation` may still lack what is made later; the row is then written once more by `open`.
        """
        try:
            facts = await self._found()
            # While another worker creates it, it answers nothing; `open` waits for it.
            if facts is not None and facts.status != "CREATING":
                await self._remember(incarnation)
        except AccessDenied as error:
            self._do_without(error)

    async def open(self, incarnation: Incarnation) -> StateTable | None:
        """The state table, created when missing; None when it may not be used and the Java form was given."""
        if self._denied:
            return None
        try:
            facts = await self._found()
            if facts is None or facts.status == "CREATING":
                await self._create()
            return await self._remember(incarnation)
        except AccessDenied as error:
            self._do_without(error)
            return None

    async def _found(self) -> TableFacts | None:
        try:
            facts = await self.reach.state_control.describe_table(self.name)
        except NotFound:
            return None
        check_own(self.name, facts.schema, STATE_SCHEMA)
        if facts.status != "CREATING":
            check_in_service(Side.STATE, f"state table {self.name}", facts)
        return facts

    async def _create(self) -> None:
        """Encrypted as the destination is: parked items and the like hold the destination's data."""
        encryption = await self.reach.destination_control.encryption(self.settings.destination.table)
        if encryption is not None:
            encryption = encryption.in_region(self.settings.task.region)
        facts = await self.reach.state_control.create_table(self.name, STATE_SCHEMA, encryption)
        check_own(self.name, facts.schema, STATE_SCHEMA)
        log.info(
            "state table %s is ready", self.name, extra={"event": "state_table_created", "facts": {"table": self.name}}
        )

    async def _remember(self, incarnation: Incarnation) -> StateTable:
        table = StateTable(self.reach.state, self.name, incarnation)
        answer = await patiently(self.clock, lambda: table.remember_pair(*self.pair))
        if not answer.ok:
            life = "copies" if answer.current else "copied, in an earlier life,"
            raise Refused(
                f"the task {self.settings.task.lease_table} already {life} {answer.source_arn} to "
                f"{answer.destination_arn}, not {self.pair[0]} to {self.pair[1]}; give another --task-name, "
                f"or delete the tables {self.settings.task.lease_table} and {self.name} if the new pair is meant"
            )
        return table

    def _do_without(self, error: AccessDenied) -> None:
        if not self.settings.java_form:
            raise AccessDenied(Side.STATE, f"{error} (the state table {self.name}, beside the lease table)") from error
        self._denied = True
        log.warning(
            "going on without the state table %s, so a crashed worker's shards wait longer: %s",
            self.name,
            error,
            extra={"event": "state_table_denied", "facts": {"table": self.name}},
        )
