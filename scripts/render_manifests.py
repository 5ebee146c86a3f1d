"""Write k8s/: the chart's objects as plain manifests, for those who use kustomize or kubectl alone.

    python scripts/render_manifests.py           # writes them
    python scripts/render_manifests.py --check   # exits with 1 if they would change

What only Helm understands (hooks, its labels, pods of `helm test`) is left out, and so is the trial's MinIO. The
folders, their kustomization.yaml and k8s/samples are written by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parent.parent
CHART, PLAIN = ROOT / "helm/spice", ROOT / "k8s"

VALUES = {
    "gateway": {"enabled": True},
    "pipelines": {"register": {"enabled": True}},
    "ownerRole": {"enabled": True},
    "training": {"runtime": {"enabled": True}},
    "admission": {"policies": {"enabled": True}},
    "kueue": {"enabled": True, "createClusterQueue": True},
    "monitoring": {"serviceMonitor": True, "rules": True, "dashboards": True},
}
# Template, or folder of templates -> file.
FILES = {
    "rbac.yaml": "base/rbac.yaml",
    "networkpolicy.yaml": "base/network-policies.yaml",
    "store/": "base/store.yaml",
    "console/": "base/console.yaml",
    "exporter/": "base/exporter.yaml",
    "gateway/": "base/gateway.yaml",
    "switch/": "base/switch.yaml",
    "admission/parameters.yaml": "base/admission.yaml",
    "training/networkpolicy.yaml": "base/training.yaml",
    "pipelines/": "pipelines/register.yaml",
    "training/runtime.yaml": "training-runtime.yaml",
    "owner-role.yaml": "owner-role.yaml",
    "admission/kill-switch.yaml": "admission/kill-switch.yaml",
    "admission/base-models.yaml": "admission/base-models.yaml",
    "admission/image-digests.yaml": "admission/image-digests.yaml",
    "kueue/": "queues/queues.yaml",
    "monitoring/servicemonitors.yaml": "monitoring/servicemonitors.yaml",
    "monitoring/rules.yaml": "monitoring/rules.yaml",
    "monitoring/dashboards.yaml": "monitoring/dashboards.yaml",
}
_HELMS_OWN = ("helm.sh/", "app.kubernetes.io/managed-by", "checksum/")


def main(argv: list[str]) -> int:
    """Write the manifests, or compare; returns the exit code."""
    stale = []
    for name, text in manifests().items():
        path = PLAIN / name
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(f"k8s/{name}")
            if "--check" not in argv:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
    print(*stale, sep="\n")
    return 1 if stale and "--check" in argv else 0


def manifests() -> dict[str, str]:
    """The content of each file below k8s/ that is made from the chart."""
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(VALUES, name="spice", namespace="spice")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in FILES.values()}
    for path, text in sorted(rendered.items()):
        template = path.removeprefix("spice/templates/")
        target = next((name for source, name in FILES.items() if template == source or _is_in(template, source)), None)
        if target is not None:
            found[target] += [_plain(each) for each in yaml.safe_load_all(text) if each]
    heading = "# Written by scripts/render_manifests.py from helm/spice.\n"
    return {
        name: heading + yaml.safe_dump_all(each, sort_keys=False, width=120, allow_unicode=True)
        for name, each in found.items()
        if each
    }


def _is_in(template: str, source: str) -> bool:
    return source.endswith("/") and template.startswith(source)


def _plain(value: Any) -> Any:
    """Without what only Helm understands."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _plain(each) for key, each in value.items() if not str(key).startswith(_HELMS_OWN)}
    if plain.get("annotations") == {}:
        del plain["annotations"]
    return plain


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
