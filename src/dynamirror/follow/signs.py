"""What can be seen of a shard that is followed, for those who judge it (model/health) and those who are told."""

from dynamirror.follow.hold import Hold
from dynamirror.follow.read import ShardReader
from dynamirror.follow.saving import Saver
from dynamirror.follow.settling import Aftermath
from dynamirror.model.health import STUCK_S, Doing, ShardSigns
from dynamirror.model.permit import NEVER
from dynamirror.model.watermark import PageMark, Watermark
from dynamirror.ports import Clock


class Signs:
    """Of one tenure. `barrier`: the mark that is no page of it, while it is in force."""

    def __init__(
        self, shard_id: str, watermark: Watermark, reader: ShardReader, saver: Saver, hold: Hold, clock: Clock
    ) -> None:
        self._shard_id = shard_id
        self._watermark = watermark
        self._reader = reader
        self._saver = saver
        self._hold = hold
        self._clock = clock

    def signs(self, aftermath: Aftermath | None, barrier: PageMark | None) -> ShardSigns:
        """What model/health judges."""
        oldest = self._watermark.oldest(barrier)
        return ShardSigns(
            self._shard_id,
            self._reader.reading.doing,
            read_at_s=self._reader.reading.at_s,
            durable_at_s=self._watermark.durable_at_s,
            saved_at_s=self._saver.saved_at_s,
            waits_since_s=oldest.added_at_s if oldest is not None else None,
            doubt_until_s=self._watermark.doubt_until_s,
            settles_at_s=aftermath.ends_at_s if aftermath is not None else NEVER,
            holds=self._hold.changes > 0,
            saving_fails_since_s=self._saver.failing_since_s,
        )

    def figures(self, barrier: PageMark | None) -> tuple[int, float]:
        """How many changes wait for a copy; age of the oldest change that is not durable, or of the last one read where
        more wait (0: none is known), in seconds by the service's clock."""
        oldest, reading, clock = self._watermark.oldest(barrier), self._reader.reading, self._clock
        made_s = (oldest.created_s if oldest is not None else 0.0) or self._hold.oldest_s or reading.behind_since_s
        if made_s:
            return self._hold.changes, max(0.0, clock.wall_s() + reading.skew_s - made_s)
        # Where nothing is read, nothing is known to wait either.
        silent_s = clock.boottime_s() - reading.at_s
        return 0, silent_s if silent_s > STUCK_S and reading.doing is not Doing.ENDING else 0.0
