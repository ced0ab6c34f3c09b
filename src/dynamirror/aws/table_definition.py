"""Reads how a table is defined, makes a table of a definition, and carries out what is left step by step.

Every call may be repeated: before a step, and when it is refused, the table itself says whether it is done already.
"""

import logging
from dataclasses import replace
from typing import Any

import msgspec

from dynamirror.aws.control_plane import ControlPlane
from dynamirror.aws.faults import InUse, NotOffered, not_dynamodb
from dynamirror.aws.table_requests import TableDescription, create_request, step_request
from dynamirror.errors import AccessDenied, NotFound, Stop, Throttled
from dynamirror.model.table_definition import AddIndex, Step, TableDefinition, is_unfinished
from dynamirror.model.table_overrides import RECOVERY_DAYS_MAX
from dynamirror.ports import Clock

_POLL_S = 1.0
# For what takes seconds; the service states no bound.
_WAIT_MAX_S = 300.0
# How long a change that was accepted may not be seen yet: tags and the like are read eventually consistent. Then, one
# that was refused, and may have been made before.
_SEEN_WITHIN_S = 120.0
_SEEN_IF_REFUSED_WITHIN_S = 10.0
# Statuses of a table that pass by themselves.
_PASSING = ("ACTIVE", "CREATING", "UPDATING")
# An index of a large table takes hours: who waits for it is told.
_SAY_EVERY_S = 60.0

log = logging.getLogger("dynamirror.clone")


class _DescribeTable(msgspec.Struct):
    table: TableDescription = msgspec.field(name="Table")


class _Tag(msgspec.Struct, rename="pascal"):
    key: str
    value: str


class _Tags(msgspec.Struct, rename="pascal"):
    tags: list[_Tag] = msgspec.field(default_factory=list)
    next_token: str | None = None


class _Recovery(msgspec.Struct, rename="pascal"):
    point_in_time_recovery_status: str = "DISABLED"
    recovery_period_in_days: int = RECOVERY_DAYS_MAX


class _Backups(msgspec.Struct, rename="pascal"):
    point_in_time_recovery_description: _Recovery = msgspec.field(default_factory=_Recovery)


class _DescribeBackups(msgspec.Struct):
    backups: _Backups = msgspec.field(name="ContinuousBackupsDescription", default_factory=_Backups)


class _Ttl(msgspec.Struct, rename="pascal"):
    time_to_live_status: str = "DISABLED"
    attribute_name: str | None = None


class _DescribeTtl(msgspec.Struct):
    ttl: _Ttl = msgspec.field(name="TimeToLiveDescription", default_factory=_Ttl)


class TableDefinitions:
    """The definitions of the tables of one side."""

    def __init__(self, control: ControlPlane, clock: Clock) -> None:
        self.side = control.side
        self._control = control
        self._clock = clock

    async def read(self, name: str) -> TableDefinition:
        """How an active table is defined. Raises NotFound, AccessDenied, other Stop, or a Retry that did not pass.

        Rights: DescribeTable, ListTagsOfResource, DescribeContinuousBackups, DescribeTimeToLive.
        """
        return await self._read(name, NotOffered)

    async def seen(self, name: str) -> TableDefinition:
        """As `read`, for looking only: beside DescribeTable, what may not be asked counts as not offered."""
        return await self._read(name, (NotOffered, AccessDenied))

    async def _read(self, name: str, unknown: type[Stop] | tuple[type[Stop], ...]) -> TableDefinition:
        found = (await self._describe(name)).definition()
        unoffered: set[str] = set()
        try:
            found = replace(found, tags=await self._tags(found.arn))
        except unknown:
            unoffered.add("tags")
        try:
            found = replace(found, recovery_days=await self._recovery(name))
        except unknown:
            unoffered.add("recovery_days")
        try:
            found = replace(found, ttl=await self._ttl(name))
        except unknown:
            unoffered.add("ttl")
        return replace(found, unoffered=frozenset(unoffered))

    async def time_to_live(self, name: str) -> str | None:
        """The attribute that items expire by; None: they do not, or the service has no such thing. Raises as `read`."""
        try:
            return await self._ttl(name)
        except NotOffered:
            return None

    async def create(self, name: str, wanted: TableDefinition, mark: str) -> bool:
        """Create a table and wait until it is active; False: there is one, which is left as it is.

        False also when the answer to the first attempt was lost, or another worker was first: the mark among its tags
        tells, which is waited for.
        """
        made = True
        try:
            await self._control.ask("CreateTable", create_request(name, wanted, mark), dict)
        except InUse:
            made = False
        await self._control.until_active(name)
        deadline_s = self._clock.boottime_s() + _SEEN_IF_REFUSED_WITHIN_S
        while not is_unfinished(await self.read(name)) and self._clock.boottime_s() < deadline_s:
            await self._clock.sleep(_POLL_S)
        return made

    async def carry_out(self, name: str, step: Step) -> None:
        """Carry a step out and wait until it can be seen; for an index, until it is complete. Nothing if it is done.

        Raises Stop when it is refused, or takes too long.
        """
        deadline_s = self._clock.boottime_s() + _WAIT_MAX_S
        while not step.done(found := await self.read(name)):
            if isinstance(step, AddIndex):
                # Only one at a time, and only while nothing else of the table is changed.
                await self._until_settled(name)
                deadline_s = self._clock.boottime_s() + _WAIT_MAX_S
            if await self._change(name, found.arn, step):
                break
            await self._pause(deadline_s, f"{step} of table {name} is still refused as too early")
        if isinstance(step, AddIndex):
            await self._until_settled(name)
        log.info(
            "table %s: %s is done",
            name,
            step,
            extra={"event": "clone_step", "facts": {"table": name, "step": str(step)}},
        )

    async def _change(self, name: str, arn: str, step: Step) -> bool:
        """False: not now. A refusal of what is there already, by a lost first attempt or another worker, is none."""
        operation, request = step_request(name, arn, step)
        try:
            await self._control.ask(operation, request, dict)
        except (InUse, Throttled):
            return False
        except (AccessDenied, NotFound, NotOffered):
            raise
        except Stop:
            if await self._is_seen(name, step, _SEEN_IF_REFUSED_WITHIN_S):
                return True
            raise
        if not await self._is_seen(name, step, _SEEN_WITHIN_S):
            raise Stop(
                self.side,
                f"{step} of table {name} was accepted, and is not there {_SEEN_WITHIN_S:g} s later; look at it in the "
                "console, then start again",
            )
        return True

    async def _is_seen(self, name: str, step: Step, within_s: float) -> bool:
        deadline_s = self._clock.boottime_s() + within_s
        while not step.done(await self.read(name)):
            if self._clock.boottime_s() >= deadline_s:
                return False
            await self._clock.sleep(_POLL_S)
        return True

    async def _until_settled(self, name: str) -> None:
        """Until no index is being made. There is no bound to it."""
        said_s = self._clock.boottime_s()
        while unsettled := (table := await self._describe(name)).unsettled():
            if table.table_status not in _PASSING:
                raise Stop(self.side, f"table {name} is {table.table_status}; start again when it is ACTIVE")
            if self._clock.boottime_s() - said_s >= _SAY_EVERY_S:
                said_s = self._clock.boottime_s()
                facts = {"table": name, "changing": unsettled}
                log.info("waiting for table %s: %s", name, unsettled, extra={"event": "clone_waits", "facts": facts})
            await self._clock.sleep(_POLL_S)

    async def _pause(self, deadline_s: float, what: str) -> None:
        if self._clock.boottime_s() >= deadline_s:
            raise Stop(self.side, f"{what} after {_WAIT_MAX_S:g} s; look at it in the console, then start again")
        await self._clock.sleep(_POLL_S)

    async def _describe(self, name: str) -> TableDescription:
        answer = await self._control.ask("DescribeTable", {"TableName": name}, _DescribeTable)
        try:
            answer.table.definition()
        except KeyError as failure:
            raise not_dynamodb(self.side, self._control.url, 200) from failure
        return answer.table

    async def _tags(self, arn: str) -> dict[str, str]:
        tags: dict[str, str] = {}
        request: dict[str, Any] = {"ResourceArn": arn}
        while True:
            answer = await self._control.ask("ListTagsOfResource", request, _Tags)
            tags |= {tag.key: tag.value for tag in answer.tags}
            if not answer.next_token:
                return tags
            request = {"ResourceArn": arn, "NextToken": answer.next_token}

    async def _recovery(self, name: str) -> int | None:
        answer = await self._control.ask("DescribeContinuousBackups", {"TableName": name}, _DescribeBackups)
        found = answer.backups.point_in_time_recovery_description
        return found.recovery_period_in_days if found.point_in_time_recovery_status == "ENABLED" else None

    async def _ttl(self, name: str) -> str | None:
        answer = await self._control.ask("DescribeTimeToLive", {"TableName": name}, _DescribeTtl)
        return answer.ttl.attribute_name if answer.ttl.time_to_live_status in ("ENABLED", "ENABLING") else None
