"""What a worker's heartbeat row says of it beside the counter: a few figures, for operators."""

from collections.abc import Callable, Mapping

from dynamirror.loops.gate import Gate
from dynamirror.observe.metrics import Metrics

LAG_SHARE = 0.99


class WorkerFigures:
    """Called at each beat; a call takes some hundred microseconds."""

    def __init__(self, metrics: Metrics, gate: Gate, on_their_way: Callable[[], int]) -> None:
        """`on_their_way`: requests that are not answered yet."""
        self._metrics = metrics
        self._gate = gate
        self._on_their_way = on_their_way

    def __call__(self) -> Mapping[str, int]:
        """By the attribute of the row."""
        metrics = self._metrics
        lag_s = metrics.lag_s(LAG_SHARE)
        return {
            "changesApplied": int(metrics.value("changes_applied")),
            "itemsCopied": int(metrics.value("items_copied")),
            "leases": int(metrics.value("leases_held")),
            "paused": int(self._gate.closed),
            "requests": self._on_their_way(),
            **({"lagP99Ms": int(lag_s * 1000)} if lag_s is not None else {}),
        }
