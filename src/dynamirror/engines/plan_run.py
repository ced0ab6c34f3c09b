"""A plan from settings alone: opens the connections, looks, and closes them. What the command calls."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from dynamirror.aws.connect import connect
from dynamirror.aws.lambda_mappings import mappings_of
from dynamirror.engines.assemble import SystemClock, jitter
from dynamirror.engines.clone import compare_definitions
from dynamirror.engines.launch import DeserterPool, fastest_loop
from dynamirror.engines.plan import Plan, PlanOptions, plan
from dynamirror.settings.groups import ReplicationSettings


def run_plan(
    settings: ReplicationSettings,
    environ: Mapping[str, str],
    options: PlanOptions | None = None,
    *,
    diff_schema: bool = False,
) -> Plan:
    """The plan; `plan.exit_code` is the command's, `diff_schema` asks for `plan.schema`. Not from an event loop.

    Raises Refused (Region, endpoint, profile, a price that is none), Stop or Retry where there are no credentials.
    """
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(_plan(settings, environ, options or PlanOptions(), diff_schema=diff_schema))


async def _plan(
    settings: ReplicationSettings, environ: Mapping[str, str], options: PlanOptions, *, diff_schema: bool
) -> Plan:
    asyncio.get_running_loop().set_default_executor(DeserterPool())
    if options.mappings is None:
        options = replace(options, mappings=mappings_of(settings.source))
    clock = SystemClock()
    async with connect(settings, environ, clock, jitter()) as connections:
        if diff_schema:
            sides = connections.source_control, connections.destination_control
            tables = settings.source.table, settings.destination.table
            options = replace(options, compare=lambda: compare_definitions(*sides, *tables, clock))
        return await plan(connections, settings, clock, options)
