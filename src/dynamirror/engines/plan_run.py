"""A plan from settings alone: opens the connections, looks, and closes them. What the command calls."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from dynamirror.aws.connect import connect
from dynamirror.aws.lambda_mappings import mappings_of
from dynamirror.engines.assemble import SystemClock, jitter
from dynamirror.engines.launch import DeserterPool, fastest_loop
from dynamirror.engines.plan import Plan, PlanOptions, plan
from dynamirror.settings.groups import ReplicationSettings


def run_plan(settings: ReplicationSettings, environ: Mapping[str, str], options: PlanOptions | None = None) -> Plan:
    """The plan; `plan.exit_code` is the command's. For a caller without an event loop.

    Raises Refused (Region, endpoint, profile, a price that is none), Stop or Retry where there are no credentials.
    """
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(_plan(settings, environ, options or PlanOptions()))


async def _plan(settings: ReplicationSettings, environ: Mapping[str, str], options: PlanOptions) -> Plan:
    asyncio.get_running_loop().set_default_executor(DeserterPool())
    if options.mappings is None:
        options = replace(options, mappings=mappings_of(settings.source))
    clock = SystemClock()
    async with connect(settings, environ, clock, jitter()) as connections:
        return await plan(connections, settings, clock, options)
