"""Finds or makes the state table, and lets no task name stand for two pairs of tables.

Rights of a Java tool's user may cover the lease table only: its form of the command line goes on without a state
table, said once (design: liveness falls back to the lease rows).
"""

import logging
from dataclasses import dataclass, field

from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.attempts import patiently
from dynamirror.engines.reach import Reach
from dynamirror.engines.refuse_items import copy_without_state
from dynamirror.engines.table_checks import check_own
from dynamirror.engines.waiting import Question
from dynamirror.errors import AccessDenied, NotFound, Refused, Side
from dynamirror.model.gap import OnGap
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
    # Found by refuse_other_pair: `open` will have to create it.
    missing: bool = field(default=False, init=False)
    _denied: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        """The state table's name."""
        return state_table_name(self.settings.task.lease_table)

    async def refuse_other_pair(self, incarnation: Incarnation) -> None:
        """Raises Refused when an existing state table has the task name for another pair; creates no table.

        `incarnation` may still lack what is made later: a row that is there stays in its life until `open`.
        """
        try:
            facts = await self._found()
            self.missing = facts is None
            # While another worker creates it, it answers nothing; `open` waits for it.
            if facts is not None and facts.status != "CREATING":
                await self._remember(incarnation, moves=False)
        except AccessDenied as error:
            self._do_without(error)

    async def open(self, incarnation: Incarnation, *, follows: bool = True) -> StateTable | None:
        """The state table, created when missing; None when it may not be used and the Java form was given.

        `follows`: this life of the task begins, or goes on, with it; workers of another one end.
        """
        if self._denied:
            return None
        try:
            facts = await self._found()
            if facts is None or facts.status == "CREATING":
                await self._create()
            return await self._remember(incarnation, moves=follows)
        except AccessDenied as error:
            self._do_without(error)
            return None

    async def _found(self) -> TableFacts | None:
        try:
            facts = await self.reach.state_control.describe_table(self.name)
        except NotFound:
            return None
        check_own(f"state table {self.name}", facts, STATE_SCHEMA)
        return facts

    async def _create(self) -> None:
        """Encrypted as the destination is: parked items and the like hold the destination's data."""
        encryption = await self.reach.destination_control.encryption(self.settings.destination.table)
        if encryption is not None:
            encryption = encryption.in_region(self.settings.task.region)
        facts = await self.reach.state_control.create_table(self.name, STATE_SCHEMA, encryption)
        check_own(f"state table {self.name}", facts, STATE_SCHEMA)
        log.info(
            "state table %s is ready", self.name, extra={"event": "state_table_created", "facts": {"table": self.name}}
        )

    async def _remember(self, incarnation: Incarnation, *, moves: bool) -> StateTable:
        table = StateTable(self.reach.state, self.name, incarnation)
        what = Question(Side.STATE, self.reach.state.url, f"the pair in {self.name}")
        answer = await patiently(self.clock, what, lambda: table.remember_pair(*self.pair, moves))
        if not answer.ok:
            # Whether that task still lives, its lease table tells: the pair's own stream is not known here.
            ended = not incarnation.lease_table_id
            life = "copied, before its lease table was deleted," if ended else "copies"
            advice = f", or delete the table {self.name} too if the new pair is meant" if ended else ""
            raise Refused(
                f"the task {self.settings.task.lease_table} belongs to another pair: it {life} {answer.source_arn} to "
                f"{answer.destination_arn}, not {self.pair[0]} to {self.pair[1]}; give another --task-name{advice}"
            )
        return table

    def _do_without(self, error: AccessDenied) -> None:
        if not self.settings.java_form or self.settings.read.on_gap is not OnGap.STOP:
            raise AccessDenied(Side.STATE, f"{error} (the state table {self.name}, beside the lease table)") from error
        if self.settings.copy.wanted:
            raise copy_without_state() from error
        self._denied = True
        log.warning(
            "going on without the state table %s, so a crashed worker's shards wait longer: %s",
            self.name,
            error,
            extra={"event": "state_table_denied", "facts": {"table": self.name}},
        )
