"""Replicate one table from Python, until Ctrl-C.

python examples/replicate.py us-east-1 Orders eu-west-1 Orders
"""

import asyncio
import os
import sys

from dynamirror import Replication, replication_settings
from dynamirror.errors import DynamirrorError

PLACES = ("source_region", "source_table", "destination_region", "destination_table")


async def replicate(places: list[str]) -> None:
    """The names of the settings are those of the flags, with underscores."""
    settings = replication_settings(
        **dict(zip(PLACES, places, strict=True)),
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
        if replication.started:
            print(replication.figures(), flush=True)


def main(places: list[str]) -> int:
    """The exit code. What is refused, or ends a replication, is a DynamirrorError: one line that says what to do."""
    if len(places) != len(PLACES):
        print(f"give {', '.join(PLACES)}", file=sys.stderr)
        return 2
    try:
        asyncio.run(replicate(places))
    except DynamirrorError as error:
        print(f"replicate: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
