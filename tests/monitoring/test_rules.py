"""The rule files and dashboards that the chart ships: parsed, tested, and about metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from spice.monitoring.exporter import FAMILIES

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "helm/spice/files/rules").glob("*.yaml"))
DASHBOARDS = sorted((ROOT / "helm/spice/files/dashboards").glob("*.json"))
UNIT_TESTS = sorted((ROOT / "tests/monitoring/rules").glob("*.yaml"))
RUNBOOK = ROOT / "docs/monitoring.md"

KNOWN = {family.name for family in FAMILIES}
METRIC = re.compile(r"\bspice[_:][a-z0-9_:]+")


def rules(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


ALERTS = [rule for path in RULES for rule in rules(path) if "alert" in rule]
RECORDED = {rule["record"] for path in RULES for rule in rules(path) if "record" in rule}


def promtool(*arguments: str | Path) -> None:
    """Run it, and fail with what it says."""
    if shutil.which("promtool") is None:
        pytest.skip("NO PROMTOOL: install Debian's prometheus package to check rules and dashboards")
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def name_of(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", RULES, ids=name_of)
def test_rules_are_rules(path: Path) -> None:
    promtool("check", "rules", path)


@pytest.mark.integration
@pytest.mark.parametrize("path", UNIT_TESTS, ids=name_of)
def test_alerts_fire_where_they_must_and_nowhere_else(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [case["name"] for path in UNIT_TESTS for case in yaml.safe_load(path.read_text())["tests"]]
    for alert in ALERTS:
        assert any(name.startswith(f"{alert['alert']}:") for name in cases), alert["alert"]
        assert any(name.startswith(f"no {alert['alert']}:") for name in cases), alert["alert"]


@pytest.mark.parametrize("rule", [rule for path in RULES for rule in rules(path)], ids=lambda rule: rule.get("alert"))
def test_rules_ask_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    asked = set(METRIC.findall(rule["expr"]))
    assert asked
    assert asked <= KNOWN | RECORDED


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alerts_say_what_they_mean_and_what_to_do(alert: dict[str, Any]) -> None:
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert len(notes["description"]) > 60
    page, _, anchor = notes["runbook_url"].partition("#")
    assert ROOT / page == RUNBOOK
    assert anchor == alert["alert"].lower()
    assert f"### {alert['alert']}\n" in RUNBOOK.read_text()


def test_no_alert_has_the_name_of_another() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(names) == len(set(names))


def expressions(path: Path) -> list[str]:
    panels = json.loads(path.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


@pytest.mark.parametrize("path", DASHBOARDS, ids=name_of)
def test_every_expression_of_a_dashboard_is_parsed(path: Path, tmp_path: Path) -> None:
    found = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions(path))
    ]
    file = tmp_path / "expressions.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": path.stem, "rules": found}]}))
    promtool("check", "rules", file)


@pytest.mark.parametrize("path", DASHBOARDS, ids=name_of)
def test_dashboards_show_metrics_that_exist(path: Path) -> None:
    asked = set(METRIC.findall(" ".join(expressions(path))))
    asked |= set(METRIC.findall(json.dumps(json.loads(path.read_text())["templating"])))
    assert asked <= KNOWN | RECORDED


@pytest.mark.parametrize("path", DASHBOARDS, ids=name_of)
def test_panels_do_not_overlap_and_labels_in_legends_exist(path: Path) -> None:
    labels = {family.name: set(family.labels) for family in FAMILIES}
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        for target in panel.get("targets", []):
            asked = METRIC.findall(target["expr"])
            if len(asked) == 1 and asked[0] in labels:
                assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels[asked[0]], panel["title"]


def test_every_metric_is_shown_or_alerted_on_somewhere() -> None:
    """Means over the start and the recent past serve rules; of those not every one is needed."""
    text = "".join(path.read_text() for path in [*RULES, *DASHBOARDS])
    unused = {name for name in KNOWN if not re.search(rf"\b{name}\b", text)}
    assert {name for name in unused if not name.startswith(("spice_recent_", "spice_start_"))} <= {
        "spice_audited_tasks",
        "spice_evaluation_items",
        "spice_evaluation_timestamp_seconds",
        "spice_generated_tokens_total",
        "spice_learned_tokens_total",
        "spice_ledger_audit_timestamp_seconds",
        "spice_ledger_entries",
        "spice_letter_pvalue",
        "spice_phase_seconds_total",
        "spice_questions_copied_words_max",
        "spice_release_timestamp_seconds",
        "spice_skipped_documents",
        "spice_valid_tasks",
    }


def test_the_example_of_alertmanager_is_valid() -> None:
    if shutil.which("amtool") is None:
        pytest.skip("NO AMTOOL: install Debian's prometheus-alertmanager package to check the example")
    example = ROOT / "examples/alertmanager.yaml"
    done = subprocess.run(["amtool", "check-config", example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for severity, receiver in {"critical": "page", "warning": "ticket", "info": "digest"}.items():
        command = ["amtool", "config", "routes", "test", f"--config.file={example}", f"severity={severity}"]
        routed = subprocess.run([*command, "alertname=SpiceDrift"], capture_output=True, text=True, check=True)
        assert routed.stdout.strip() == receiver
