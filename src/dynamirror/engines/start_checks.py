"""What `plan` finds, found by a start too: of a task that begins, before anything is changed or made.

A restart asks nothing of this: it has leases, and its way has been judged. What would stop a plan refuses the start,
what it warns of is one line each. What could not be looked at is no reason for either, and takes 10 s at most.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from dynamirror.engines.plan_facts import Mappings, found, sample_items
from dynamirror.engines.plan_judge import judge_copy, judge_rights
from dynamirror.engines.plan_look import Look, Pair, copy_of
from dynamirror.engines.plan_permissions import stream_rights
from dynamirror.engines.plan_rights import all_rights
from dynamirror.engines.reach import Reach
from dynamirror.engines.waiting import reach_aloud
from dynamirror.errors import DynamirrorError, Refused, Stop
from dynamirror.model.finding import Finding, Severity
from dynamirror.model.task_name import state_table_name
from dynamirror.ports import Clock, TableFacts
from dynamirror.settings.groups import ReplicationSettings

# What these checks may add to a start, also where somebody does not answer.
CHECKS_S = 10.0
# In the order in which their findings are told.
_LOOKS = ("source", "stream", "destination", "rights", "stream rights", "copy", "readers")

log = logging.getLogger("dynamirror")


class StartChecks:
    """The checks of one start."""

    def __init__(self, reach: Reach, settings: ReplicationSettings, clock: Clock, mappings: Mappings | None) -> None:
        """`mappings`: who asks Lambda; None: not known."""
        self._reach = reach_aloud(reach)
        self._settings = settings
        self._look = Look(self._reach, settings, clock, mappings, will_be_made=settings.clone.wanted)
        self._asked = False
        self._found: dict[str, list[Finding]] = {}

    async def refuse_unready(self, leases: TableFacts | None) -> None:
        """Raises Refused or Stop for what a plan calls not ready, logs what it warns of. The second call does nothing.

        `leases` is the lease table, None where there is none yet. Nothing for a task that has leases.
        """
        if self._asked:
            return
        self._asked = True
        try:
            async with asyncio.timeout(CHECKS_S):
                if not await self._begins(leases):
                    return
                await self._ask(leases)
                if self._stops() and await self._begun_meanwhile():
                    return
        except TimeoutError:
            log.info(
                "not everything that plan looks at was answered within %g s; the start goes on",
                CHECKS_S,
                extra={"event": "plan_unfinished", "facts": {}},
            )
        self._judge()

    async def _begins(self, leases: TableFacts | None) -> bool:
        """A lease table that somebody is creating is looked after by whoever does."""
        if leases is None:
            return True
        if leases.status == "CREATING":
            return False
        rows = await sample_items(self._look.state, self._settings.task.lease_table, 1)
        return rows is not None and rows.looked_at == 0

    async def _begun_meanwhile(self) -> bool:
        """Another worker has made the leases since: what it copies is no reason to refuse this one's start."""
        leases = await found(self._reach.state_control, self._settings.task.lease_table)
        return isinstance(leases, TableFacts) and not await self._begins(leases)

    async def _ask(self, leases: TableFacts | None) -> None:
        pair = await self._look.pair()
        async with asyncio.TaskGroup() as group:
            for name, findings in (
                ("source", self._look.of_source(pair)),
                ("destination", self._look.of_destination(pair, copied=False)),
                ("readers", self._readers(pair)),
                ("rights", self._rights(pair, leases)),
                ("stream", self._stream(pair)),
                ("copy", self._copy(pair)),
            ):
                group.create_task(self._note(name, findings))

    async def _note(self, name: str, findings: Coroutine[Any, Any, list[Finding]]) -> None:
        try:
            self._found[name] = await findings
        except DynamirrorError as error:
            log.debug("%s was not looked at: %s", name, error, extra={"event": "plan_finding", "facts": {}})

    async def _readers(self, pair: Pair) -> list[Finding]:
        return (await self._look.of_readers(pair.here))[1]

    async def _stream(self, pair: Pair) -> list[Finding]:
        listing, findings = await self._look.of_stream(pair.here)
        arn = pair.here.facts.stream_arn if pair.here is not None else None
        # Rights of the Java tool's users may be fewer, and have always done.
        if listing is not None and arn is not None and not self._settings.java_form:
            rights = stream_rights(self._reach.streams, arn, listing)
            self._found["stream"] = findings
            await self._note("stream rights", _judged(rights))
        return findings

    async def _rights(self, pair: Pair, leases: TableFacts | None) -> list[Finding]:
        if self._settings.java_form:
            return []
        name = state_table_name(self._settings.task.lease_table)
        own = leases, await found(self._reach.state_control, name)
        return await _judged(all_rights(self._reach, self._settings, (pair.here, pair.there), None, own))

    async def _copy(self, pair: Pair) -> list[Finding]:
        """How long it takes counts only where there is to be one."""
        if pair.here is None:
            return []
        findings = judge_copy(copy_of(self._settings, pair.here, pair.there), counted=True)
        return [one for one in findings if one.severity is Severity.STOP or self._settings.copy.wanted]

    def _findings(self) -> list[Finding]:
        return [finding for name in _LOOKS for finding in self._found.get(name, ())]

    def _stops(self) -> list[Finding]:
        return [one for one in self._findings() if one.severity is Severity.STOP and one.known]

    def _judge(self) -> None:
        if stops := self._stops():
            raise _refusal(stops)
        for finding in self._findings():
            if finding.severity is not Severity.READY:
                level = logging.WARNING if finding.known else self._quietly
                facts = {"about": finding.about}
                log.log(level, "%s", _line(finding), extra={"event": "plan_finding", "facts": facts})

    @property
    def _quietly(self) -> int:
        """What is not known is worth a line, but not to somebody whose rights were always narrow."""
        return logging.DEBUG if self._settings.java_form else logging.INFO


async def _judged(rights: Coroutine[Any, Any, Any]) -> list[Finding]:
    return list(judge_rights(await rights))


def _refusal(stops: list[Finding]) -> DynamirrorError:
    first = stops[0]
    more = f" (and {len(stops) - 1} more; dynamirror plan shows all)" if len(stops) > 1 else ""
    message = f"{_line(first)}{more}"
    return Refused(message) if first.side is None else Stop(first.side, message)


def _line(finding: Finding) -> str:
    return f"{finding.about}: {finding.what}" + (f"; {finding.do}" if finding.do else "")
