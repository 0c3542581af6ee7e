"""The alerts, the dashboard and the runbook belong together."""

from __future__ import annotations

import pytest
import yaml

from tests.watch.promql import asked_by
from tests.watch.shipped import CONFIG, dashboard, rules


def test_every_alert_says_how_bad_it_is_what_it_is_and_where_to_read_on() -> None:
    for rule in rules():
        name = rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert rule["annotations"]["summary"].endswith("."), name
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}", name
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_every_alert_has_fired_in_a_test_of_the_rules() -> None:
    document = yaml.safe_load((CONFIG / "prometheus/tests/chuk.rules.test.yml").read_text("utf-8"))
    fired = {
        sample["labels"]
        for test in document["tests"]
        for asked in test["promql_expr_test"]
        for sample in asked["exp_samples"]
    }
    assert fired == {f'{{alertname="{rule["alert"]}"}}' for rule in rules()}


def test_the_dashboard_fits_its_grid() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    ("query", "names", "labels", "groups"),
    [
        ("up", {"up"}, {}, set()),
        ('a:b{x="y,{z}",w!~"v"} > 1e9', {"a:b"}, {"a:b": {"x", "w"}}, set()),
        (
            'sum by (x, y) (rate(a_total{z=~"5.."}[5m])) / on(x) group_left (w) b unless c == 0.5',
            {"a_total", "b", "c"},
            {"a_total": {"z"}},
            {"x", "y"},
        ),
        (
            "histogram_quantile(0.99, sum by (le) (rate(a_bucket[$__rate_interval])))",
            {"a_bucket"},
            {},
            {"le"},
        ),
        ("min without (x) (a offset 5m) and b or nan", {"a", "b"}, {}, set()),
    ],
)
def test_a_query_is_taken_apart(
    query: str, names: set[str], labels: dict[str, set[str]], groups: set[str]
) -> None:
    asked = asked_by(query)
    assert (asked.names, asked.labels, asked.groups) == (names, labels, groups)
