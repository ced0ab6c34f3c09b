"""Replicate one table from Python, until Ctrl-C.

python examples/replicate.py us-east-1 Orders eu-west-1 Orders
"""

import asyncio
import contextlib
import os
import sys

from dynamirror import Replication, replication_settings


async def main(source_region: str, source_table: str, destination_region: str, destination_table: str) -> None:
    """The names of the settings are those of the flags, with underscores."""
    settings = replication_settings(
        source_region=source_region,
        source_table=source_table,
        destination_region=destination_region,
        destination_table=destination_table,
        **{
            name: value
            for name in ("source_endpoint", "destination_endpoint")
            if (value := os.environ.get(name.upper()))
        },
    )
    replication = Replication(settings, os.environ)
    try:
        async with replication:
            print("replicating", flush=True)
            await replication.wait()
    finally:
        # After the orderly stop: what was on its way is counted too.
        print(replication.figures(), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:5]))
