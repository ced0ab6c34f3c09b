"""The row of a verify in the state table, as `state_ports.VerifyStore`."""

from collections.abc import Mapping
from dataclasses import asdict

import msgspec

from dynamirror.aws.state_rows import Incarnation, StateRows
from dynamirror.aws.wire import Caller, Row, Value, n, s
from dynamirror.errors import Side, Stop
from dynamirror.model.verify import Tally, VerifyRun

_VERIFY, _RUN = "verify", "run"


class VerifyRows:
    """One task's."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._rows = StateRows(caller, name, incarnation)

    async def run(self) -> VerifyRun | None:
        """See state_ports.VerifyStore. Raises Stop for a row that cannot be read."""
        row = await self._rows.row(_VERIFY, _RUN)
        if row is None or not self._rows.incarnation.owns(row):
            return None
        try:
            return _run_of(row)
        except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
            raise Stop(
                Side.STATE,
                f"the state table {self._rows.name} has a row of a verify that cannot be read ({error!r}): delete the "
                f"item with kind {_VERIFY} and id {_RUN} to start it anew",
            ) from error

    async def put_run(self, run: VerifyRun, before: VerifyRun | None) -> None:
        """See state_ports.VerifyStore."""
        condition = self._rows.vacant if before is None else self._rows.unmoved("version", before.version)
        await self._rows.put(_VERIFY, _RUN, _row_of(run), condition)


def _row_of(run: VerifyRun) -> Mapping[str, Value]:
    return {
        "run": s(run.id),
        "words": s(run.words),
        "segments": n(run.segments),
        "share": s(repr(run.share)),
        "seed": n(run.seed),
        "done": s(f"{run.done:x}"),
        "tally": s(msgspec.json.encode(asdict(run.tally)).decode()),
        "spentS": n(run.spent_s),
        "over": {"BOOL": run.over},
        "version": n(run.version),
        "gaps": s(msgspec.json.encode(run.gaps).decode()),
    }


def _run_of(row: Row) -> VerifyRun:
    return VerifyRun(
        row["run"]["S"],
        row["words"]["S"],
        int(row["segments"]["N"]),
        float(row["share"]["S"]),
        int(row["seed"]["N"]),
        int(row["done"]["S"], 16),
        msgspec.json.decode(row["tally"]["S"], type=Tally),
        int(row["spentS"]["N"]),
        row["over"]["BOOL"] is True,
        int(row["version"]["N"]),
        # Rows of before there were gaps lack it.
        msgspec.json.decode(row["gaps"]["S"], type=tuple[str, ...]) if "gaps" in row else (),
    )
