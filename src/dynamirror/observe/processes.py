"""The figures of several worker processes as one page: each with the label `process`.

The processes hand theirs on in the text format of Prometheus; it is read with the client's own parser.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from dynamirror.model.processes import Seen
from dynamirror.observe.metrics import PREFIX

LABEL = "process"
UP, RESTARTS = f"{PREFIX}process_up", f"{PREFIX}process_restarts"
# Name, kind and help of what the supervisor adds.
OF_SUPERVISOR = (
    (UP, "gauge", "With --processes: 1 while the worker process is there and answers."),
    (f"{RESTARTS}_total", "counter", "With --processes: how often the worker process was started again."),
)


def text_of(registry: CollectorRegistry) -> str:
    """The figures of this process, to be handed on."""
    return generate_latest(registry).decode()


class ProcessFigures(Collector):
    """All figures of all processes, asked for whenever they are looked at. From any thread."""

    def __init__(self, look: Callable[[], Sequence[Seen]]) -> None:
        """`look` asks the processes, and does not wait for one that is mute."""
        self._look = look
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before it is asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        seen = self._look()
        (_, _, up_help), (_, _, restarts_help) = OF_SUPERVISOR
        up = GaugeMetricFamily(UP, up_help, labels=[LABEL])
        restarts = CounterMetricFamily(RESTARTS, restarts_help, labels=[LABEL])
        for one in seen:
            up.add_metric([str(one.process)], float(one.told is not None))
            restarts.add_metric([str(one.process)], one.restarts)
        yield up
        yield restarts
        yield from _together(seen)


def _together(seen: Sequence[Seen]) -> Iterable[Metric]:
    """One family for each name, whatever process its samples are of."""
    families: dict[str, Metric] = {}
    for one in seen:
        for family in text_string_to_metric_families(one.told.figures if one.told is not None else ""):
            known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                known.add_sample(sample.name, {**sample.labels, LABEL: str(one.process)}, sample.value)
    return families.values()
