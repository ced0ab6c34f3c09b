"""A shell command of the operator's, with variables that say what it is about."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Mapping

# What a hook may take to end once it was asked to.
ENDING_S = 5.0
_STDERR = 2


async def run_hook(command: str, environ: Mapping[str, str]) -> int:
    """Its exit code. What it prints goes to stderr: stdout is for the report. Cancelled, it is ended too."""
    process = await asyncio.create_subprocess_shell(command, env=dict(environ), stdout=_STDERR)
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            await _end(process)


async def _end(process: Process) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(ENDING_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
