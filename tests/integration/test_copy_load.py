"""A copy beside many changes a second: memory, and how late the changes arrive, stay within their bounds."""

from dataclasses import asdict

import pytest

from bench.beside_copy import beside_copy
from dynamirror.settings.groups import HoldSettings

pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(900)]
RATE, SECONDS = 20_000, 180
RSS_MB_MAX = 200
# Beyond the hold: the time stamps' granularity, reading again, the way to the destination.
LATE_S_MAX = 5


async def test_beside_a_copy_many_changes_are_held_in_bounded_memory_and_then_not_late() -> None:
    seen = await beside_copy(RATE, SECONDS)
    print("\n".join(f"{name}: {value}" for name, value in asdict(seen).items()))
    assert seen.copy_end_s > SECONDS, "the copy was over before the changes were"
    assert seen.rss_max_mb <= RSS_MB_MAX
    assert seen.max_s <= HoldSettings().hold_s + LATE_S_MAX
