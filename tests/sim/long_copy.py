"""A copy that takes longer than the stream keeps changes: a day scaled down to 24 minutes, and a day."""

from dataclasses import replace

from dynamirror.settings.groups import CopySettings, HoldSettings, LeaseSettings, ReadSettings, WriteSettings
from tests.sim.cloud import PAGES_SAVED
from tests.sim.profile import Fleet, Profile, Service

RETENTION_S = 24 * 60.0
# A page of two items, and no more, every so often.
PAGE_ITEMS = 2
PAGE_EVERY_S = 8.0
# Half an hour's, of copiers that slow down when they are throttled.
PAGES = int(18 * 60 / PAGE_EVERY_S + PAGES_SAVED)

# Just above the least hold; some of what waits is dropped, or nearly all.
TIGHT = HoldSettings(hold_s=46.1)
COPY = CopySettings(segments=5, segments_at_once=1, page_items_first=PAGE_ITEMS, page_items_max=PAGE_ITEMS, watch_s=5.0)
READ = ReadSettings(idle_poll_max_s=8.0)
# Three times slower than by default, so that half an hour is soon over.
LEASE = LeaseSettings(duration_s=30.0, heartbeat_s=3.0, watch_s=6.0, scan_s=30.0)
FLEET = Fleet(copy=COPY, read=READ, hold=TIGHT, lease=LEASE)

LONG_COPY = Profile(
    turns=500,
    turn_s=8.0,
    until_copied=True,
    copied_max_s=3600.0,
    # Whoever follows the stream from its beginning has some minutes left to do so.
    before_s=15 * 60.0,
    load=(0, 0, 0, 0, 2, 12),
    late_from=0.5,
    items=PAGES * PAGE_ITEMS,
    keys=PAGES * PAGE_ITEMS,
    seeded=0.3,
    kill=0.03,
    start=0.4,
    roll=0.03,
    split=0.004,
    hide=0.02,
    freezes_s=(9.0, 15.0, 40.0, 70.0, 130.0),
    night=0.0,
    date_off_s=3600.0,
    workers_max=2,
    fleets=(
        FLEET,
        FLEET,
        replace(FLEET, hold=replace(TIGHT, bytes_max=2000)),
        replace(FLEET, hold=replace(TIGHT, bytes_max=0), read=replace(READ, batch_size=20)),
        replace(FLEET, stale_s=0.9, copy=replace(COPY, segments=9, segments_at_once=2)),
        replace(FLEET, write=WriteSettings(cautious=True)),
    ),
    service=Service(RETENTION_S, scan_every_s=PAGE_EVERY_S, scan_takes_s=(0.0, 9.0)),
)

# The stream has more than what a copy into an empty table lets be skipped; the copy is short.
OLD_CHANGES = replace(
    LONG_COPY,
    before_s=40 * 60.0,
    turn_s=4.0,
    items=120,
    keys=120,
    load=(0, 0, 1, 3),
    seeded=0.5,
    service=Service(),
)

# As it is: a day, and a copy of thirty hours. A page a minute, and a minute a turn.
DAY_S = 24 * 3600.0
MINUTE_S = 60.0
DAY_PAGES = int(18 * 3600 / MINUTE_S + PAGES_SAVED)
DAY_COPY = replace(
    LONG_COPY,
    turns=3000,
    turn_s=MINUTE_S,
    copied_max_s=DAY_S,
    before_s=22 * 3600.0,
    items=DAY_PAGES * PAGE_ITEMS,
    keys=DAY_PAGES * PAGE_ITEMS,
    service=replace(LONG_COPY.service, retention_s=DAY_S, scan_every_s=MINUTE_S),
)
