"""Replication shown at work on one machine: embedded database, live traffic, the real worker, a comparison."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the operator asked for."""

    # How long traffic is written.
    seconds: float = 30.0
    # Changes a second that are aimed at.
    rate: int = 200
    # Go on after the comparison until Ctrl-C.
    keep: bool = False
    dynamodb_local: bool = False
    # One JSON object with the facts instead of live progress.
    json: bool = False


def run_demo(options: DemoOptions) -> int:
    """Run it on this terminal; returns the exit code (1: the tables differ). Raises DynamirrorError."""
    from dynamirror.engines.assemble_demo import launch_demo

    return launch_demo(options)
