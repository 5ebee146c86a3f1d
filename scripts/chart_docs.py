"""Write what the chart's documents take from its own files: comments and table of values, and the table of rights.

python scripts/chart_docs.py           # writes helm/spice/values.yaml and README.md, and docs/install-kubernetes.md
python scripts/chart_docs.py --check   # exits with 1 if they would change

Values are described in values.schema.json alone; a comment above a value and its line in the table say the same.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
CHART = ROOT / "helm/spice"


def main(argv: list[str]) -> int:
    """Write the documents, or compare; returns the exit code."""
    stale = []
    for path, wanted in documents().items():
        if wanted != path.read_text("utf-8"):
            stale.append(path.relative_to(ROOT))
            if "--check" not in argv:
                path.write_text(wanted, "utf-8")
    for path in stale:
        print(f"{path} {'is out of date: run python scripts/chart_docs.py' if '--check' in argv else 'written'}")
    return 1 if stale and "--check" in argv else 0


def documents() -> dict[Path, str]:
    """Each document as it should be."""
    return {
        CHART / "values.yaml": commented_values(),
        CHART / "README.md": _with_table(CHART / "README.md", "values", values_table()),
        ROOT / "docs/install-kubernetes.md": _with_table(ROOT / "docs/install-kubernetes.md", "rights", rights()),
    }


def commented_values() -> str:
    """values.yaml with the schema's description above each value, after the comment that it begins with."""
    heading, _, body = (CHART / "values.yaml").read_text("utf-8").partition("\n\n")
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    lines, path = [heading, ""], []
    for line in body.splitlines():
        if line.lstrip().startswith("#"):
            continue
        found = re.match(r"( *)(\w+):", line)
        if found:
            depth = len(found[1]) // 2
            path = [*path[:depth], found[2]]
            described = _described(schema, path) if len(path) == depth + 1 else None
            if described:
                mark = f"{found[1]}# "
                lines += textwrap.wrap(described, 120, initial_indent=mark, subsequent_indent=mark)
        lines.append(line)
    return "\n".join(lines) + "\n"


def values_table() -> str:
    """Every value with its default and description, from values.yaml and values.schema.json."""
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    rows = [
        f"| `{key}` | {_cell(default)} | {field['description']} |"
        for key, default, field in _leaves(schema, defaults, "")
        if key != "global"
    ]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows]) + "\n"


def rights() -> str:
    """Each service account with what it may do, from files/rbac.yaml."""
    accounts = yaml.safe_load((CHART / "files/rbac.yaml").read_text("utf-8"))["accounts"]
    rows = []
    for name, account in accounts.items():
        rules = "<br>".join(_rule(rule) for rule in account["rules"]) or "nothing; its pods have no token"
        rows.append(f"| `spice-{name}` | {account['for']} | {rules} |")
    return "\n".join(["| service account | for | may, in the release's namespace |", "|---|---|---|", *rows]) + "\n"


def _with_table(path: Path, name: str, table: str) -> str:
    """The text of a document with this table between its marks."""
    text = path.read_text("utf-8")
    begin, end = f"<!-- {name}: begin, written by scripts/chart_docs.py -->\n", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{table}\n{end}{after}"


def _described(field: dict[str, Any], path: list[str]) -> str | None:
    """What the schema says of the value at a path; nothing of what lies below a value, such as its default's keys."""
    for name in path:
        field = field.get("properties", {}).get(name, {})
    return field.get("description")


def _leaves(schema: dict[str, Any], default: Any, path: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for name, field in schema["properties"].items():
        value = default.get(name) if isinstance(default, dict) else None
        if "properties" in field:
            yield from _leaves(field, value, f"{path}{name}.")
            continue
        yield path + name, value, field
        if "properties" in field.get("items", {}) and name == "modelServers":
            yield from _leaves(field["items"], None, f"{path}{name}[].")


def _cell(value: object) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


def _rule(rule: dict[str, list[str]]) -> str:
    what = ", ".join(
        resource if group == "" else f"{resource}.{group}"
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    )
    named = f" {', '.join(f'`{name}`' for name in rule['resourceNames'])}" if "resourceNames" in rule else ""
    return f"{', '.join(rule['verbs'])}: {what}{named}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
