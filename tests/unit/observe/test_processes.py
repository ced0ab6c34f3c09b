"""One page of figures for several processes."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dynamirror.model.processes import Seen, Told
from dynamirror.observe.metrics import METRICS, Metrics
from dynamirror.observe.processes import ProcessFigures, text_of


def told(applied: int) -> Told:
    sink = Metrics()
    sink.count("changes_applied", applied)
    sink.observe("lag_s", 0.3)
    return Told(started=True, problems=[], figures=text_of(sink.registry))


def test_every_figure_bears_its_process_and_each_name_stands_once() -> None:
    page = ProcessFigures(lambda: [Seen(1, told(3)), Seen(2, told(4), restarts=5), Seen(3, None, "ended", 1)])
    text = generate_latest(page.registry).decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    value = {(s.name, s.labels["process"], s.labels.get("le")): s.value for f in families for s in f.samples}
    applied = "dynamirror_changes_applied_total"
    assert (value[applied, "1", None], value[applied, "2", None]) == (3, 4)
    assert (applied, "3", None) not in value
    for metric in METRICS:
        name = metric.exported + ("_count" if metric.kind == "distribution" else "")
        assert {(name, "1", None), (name, "2", None)} <= value.keys()
    assert value["dynamirror_lag_seconds_bucket", "2", "0.25"] == 0
    assert value["dynamirror_lag_seconds_bucket", "2", "0.5"] == 1
    up, restarts = "dynamirror_process_up", "dynamirror_process_restarts_total"
    assert [value[up, str(n), None] for n in (1, 2, 3)] == [1, 1, 0]
    assert [value[restarts, str(n), None] for n in (1, 2, 3)] == [0, 5, 1]


def test_types_and_help_stay() -> None:
    page = ProcessFigures(lambda: [Seen(1, told(1)), Seen(2, told(2))])
    lines = generate_latest(page.registry).decode().splitlines()
    assert lines.count("# TYPE dynamirror_changes_applied_total counter") == 1
    assert lines.count("# TYPE dynamirror_lag_seconds histogram") == 1
    assert (
        lines.count(
            "# HELP dynamirror_changes_applied_total Writes of changes durable at the destination; "
            "changes of one item that became one write count once."
        )
        == 1
    )


def test_nobody_is_asked_before_somebody_looks() -> None:
    asked: list[int] = []

    def look() -> list[Seen]:
        asked.append(1)
        return []

    page = ProcessFigures(look)
    assert not asked
    generate_latest(page.registry)
    assert asked == [1]
