"""From a collapsing run to an alert at Alertmanager, through the exporter and Debian's Prometheus."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from spice.store.base import ObjectStore

ROOT = Path(__file__).parents[2]
PROGRAMS = ("prometheus", "prometheus-alertmanager", "spice")
PATIENCE = 240  # seconds; a busy machine is slow, and a failure is not


@pytest.fixture
def programs() -> dict[str, str]:
    found = {name: shutil.which(name) or shutil.which(str(Path(sys.executable).with_name(name))) for name in PROGRAMS}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"NO {' AND NO '.join(missing).upper()}: install Debian's prometheus and prometheus-alertmanager")
    return {name: str(path) for name, path in found.items()}


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_a_collapsing_run_reaches_alertmanager_and_a_healthy_one_does_not(
    programs: dict[str, str], store: ObjectStore, play: Callable[..., None], turn: Any, tmp_path: Path
) -> None:
    healthy = [turn(valid=0.9)] * 12
    collapsing = [turn(valid=0.9)] * 5 + [
        turn(valid=0.9 - n / 10, challenger_entropy=1 + n / 5, reasoner_entropy=0.02) for n in range(7)
    ]
    play("good", healthy, sets=["seed=1"])
    play("bad", collapsing, sets=["seed=2"])
    exporter, prometheus, alertmanager = free_ports(3)
    with contextlib.ExitStack() as stack:
        for name, arguments in {
            "spice": [
                "exporter",
                "--store",
                store.url,
                "--port",
                str(exporter),
                "--set",
                "monitoring.refresh_seconds=1",
            ],
            "prometheus": [
                f"--config.file={write_configuration(tmp_path, exporter, alertmanager)}",
                f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            ],
            "prometheus-alertmanager": [
                f"--config.file={ROOT / 'examples/alertmanager.yaml'}",
                f"--storage.path={tmp_path / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{alertmanager}",
                "--cluster.listen-address=",
            ],
        }.items():
            stack.enter_context(running([programs[name], *arguments], tmp_path / f"{name}.log"))
        alerts = wait_for(f"http://127.0.0.1:{alertmanager}/api/v2/alerts", "SpiceEntropyCollapse")
    by_name = {(alert["labels"]["alertname"], alert["labels"].get("seed")): alert for alert in alerts}
    assert ("SpiceChallengerDeathSpiral", "2") in by_name
    assert not [name for name, seed in by_name if seed == "1" and name != "SpiceRunWarns"]
    spiral = by_name["SpiceChallengerDeathSpiral", "2"]
    assert spiral["labels"]["severity"] == "critical"
    assert spiral["receivers"] == [{"name": "page"}]
    assert spiral["annotations"]["summary"] == "The Challenger of facts (spice, seed 2) unlearns the form of a task"
    assert "error" not in json.dumps([alert["annotations"] for alert in alerts]).lower()


def write_configuration(folder: Path, exporter: int, alertmanager: int) -> Path:
    """Prometheus with the shipped rules, but for how long each must hold."""
    for path in (ROOT / "helm/spice/files/rules").glob("*.yaml"):
        shipped = yaml.safe_load(path.read_text())
        for rule in (rule for group in shipped["groups"] for rule in group["rules"]):
            if "for" in rule:
                rule["for"] = "2s"
        (folder / f"rules-{path.name}").write_text(yaml.safe_dump(shipped))
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules-*.yaml")],
        "scrape_configs": [{"job_name": "spice", "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration))
    return file


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, name: str) -> list[dict[str, Any]]:
    """All alerts, once one of that name is there and a few seconds have passed for the others."""
    seen: list[dict[str, Any]] = []
    for _ in range(PATIENCE):
        threading.Event().wait(1.0)
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
            before, seen = seen, json.load(response)
            names = {alert["labels"]["alertname"] for alert in seen}
            if name in names and len(before) == len(seen):
                return seen
    pytest.fail(f"{name} never reached Alertmanager; it has {[alert['labels'] for alert in seen]}")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
