"""Fleets whose destination refuses items: whatever goes wrong, each is parked or equal, and a retry mends all."""

from dataclasses import replace

import pytest

from dynamirror.settings.groups import CopySettings
from tests.sim.many import many
from tests.sim.profile import Fleet, Profile

BAD = Profile(bad=0.25, kill=0.1, start=0.3, freeze=0.1, fleet=Fleet())
COPIED = replace(
    BAD,
    items=100,
    fleet=Fleet(copy=CopySettings(segments=4, segments_at_once=2, page_items_first=5, page_items_max=20)),
)
# Nothing that parks or un-parks is lost: then no row is left over either.
EXACT = Profile(
    bad=0.25,
    kill=0.0,
    stop=0.0,
    freeze=0.0,
    partition=0.0,
    night=0.0,
    workers_max=1,
    places=frozenset({"destination"}),
    rows_exact=True,
    fleet=Fleet(),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("profile", [BAD, COPIED, EXACT], ids=["beside changes", "copied", "exact"])
def test_each_item_is_parked_or_equal(profile: Profile) -> None:
    failed, counts = many(range(15), profile=profile)
    assert failed == []
    assert counts["parked at rest"] > 50
    assert counts["parked"] > counts["parked at rest"]
