"""Mutants of living beside workers of the Java tool."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from dynamirror.fleet.ancestry import Ancestry
from dynamirror.follow.shard_task import ShardTask
from tests.sim.mutants.base import JAVA, THERE, mutant

# Requests are not answered, and land late; nobody dies, so that whoever sent them can see to it.
UNANSWERED = replace(
    JAVA, share=0.4, share_factors=(1.0,), kinds={"late": 1}, places=THERE, keys=8, kill=0.0, freeze=0.0
)
# Java workers die while they send, or sleep; ours come and go.
STRAYING = replace(JAVA, turns=100, kill=0.15, kill_at_send=0.9, keys=3, start=0.3, stop=0.1, share=0.0, javas_max=3)
# Shards end often, and workers do not hear of what the others write.
GHOSTLY = replace(
    JAVA, turns=80, roll=0.15, partition=0.1, partitions=("leases", "leases writes", "state"), javas_max=3
)


@mutant("a row that was made anew is not read again (P-19)", GHOSTLY)
def ghosts_are_read() -> Iterator[None]:
    async def read_before(self: Ancestry, lease: Any) -> bool:
        return False

    with patch.object(Ancestry, "read_before", read_before):
        yield


@mutant("what may land on a Java worker's writes is reconciled", UNANSWERED, hint=85)
def left_to_java() -> Iterator[None]:
    original = ShardTask.abandon

    def abandon(self: ShardTask, to_java: bool = False) -> None:
        original(self)

    with patch.object(ShardTask, "abandon", abandon):
        yield


@mutant("what a Java worker has sent may land for five minutes (R-6)", replace(STRAYING, stop=0.02), hint=36)
def java_taken_for_one_of_ours() -> Iterator[None]:
    with patch("dynamirror.fleet.tenure.SIGNATURE_LIFE_S", 30.0):
        yield
