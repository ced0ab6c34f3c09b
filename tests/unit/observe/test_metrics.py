"""The table of figures, and that the code uses no other names."""

import ast
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from dynamirror.observe.metrics import METRICS, Metrics
from dynamirror.ports import MetricSink

SOURCE = Path(__file__).parents[3] / "src" / "dynamirror"
KIND_OF_CALL = {"count": "counter", "gauge": "gauge", "observe": "distribution"}


def calls() -> list[tuple[str, str, str]]:
    """(file, kind, name) of every call of a sink with a literal name."""
    found = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            name = node.args[0]
            on_metrics = ast.unparse(node.func.value).endswith("metrics")
            if on_metrics and node.func.attr in KIND_OF_CALL and isinstance(name, ast.Constant):
                found.append((path.name, KIND_OF_CALL[node.func.attr], str(name.value)))
    return found


def test_the_code_counts_what_the_table_names_and_all_of_it() -> None:
    used = {(kind, name) for _, kind, name in calls()}
    assert used == {(metric.kind, metric.name) for metric in METRICS}


def test_figures_add_up_apart_for_each_worker() -> None:
    one, other = Metrics(), Metrics()
    sink: MetricSink = one
    sink.count("changes_read")
    sink.count("changes_read", 41)
    sink.gauge("leases_held", 3)
    sink.gauge("leases_held", 2)
    sink.observe("lag_s", 0.12)
    sink.observe("lag_s", 90_000.0)
    assert (one.value("changes_read"), one.value("leases_held"), one.value("lag_s")) == (42, 2, 2)
    assert other.value("changes_read") == 0


def test_the_exported_text_has_every_figure_with_its_help() -> None:
    text = generate_latest(Metrics().registry).decode()
    for metric in METRICS:
        assert f"# HELP {metric.exported} {metric.help}" in text
    assert "dynamirror_changes_read_total 0.0" in text
    assert 'dynamirror_lag_seconds_bucket{le="0.15"} 0.0' in text


def test_an_unknown_name_and_a_wrong_kind_are_found_at_once() -> None:
    with pytest.raises(KeyError):
        Metrics().count("changes_red")
    with pytest.raises(KeyError):
        Metrics().gauge("changes_read", 1)
