"""Where the configuration comes from, and which source wins.

Defaults < preset < file < environment < `--set`. Every value remembers its
origin, so that `spice config show` can say where it came from and an error can
say where to change it. All problems of all sources are reported together.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from spice.config import Config, Section
from spice.errors import ConfigError

PREFIX = "SPICE_"

# Variables that share the prefix and are not settings: where keys and models lie, which preset and file to take,
# credentials, and what Kubernetes puts into every pod for a Service named spice-*. Two underscores make it a setting.
NOT_SETTINGS = re.compile(
    r"SPICE_(?!\w+__)(HOME|CACHE|PRESET|CONFIG|API_KEY|UPSTREAM_KEY|OIDC_CLIENT_SECRET|JUDGE_API_KEY|(BENCHMARKS_)?S3_\w+|(\w+_)?SERVICE_(HOST|PORT(_\w+)?)|(\w+_)?PORT(_\d+_\w+)?)"
)


@dataclass(frozen=True)
class Resolved:
    """A configuration and, per dotted key, which source set it."""

    config: Config
    origins: Mapping[str, str]


@dataclass(frozen=True)
class Setting:
    """One leaf of the tree, as `spice config show` prints it."""

    key: str
    value: object
    origin: str
    description: str


class Preset(BaseModel):
    """A named set of settings that ships with the package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    settings: dict[str, Any]


def resolve(
    preset: str | None = None,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Sequence[str] = (),
) -> Resolved:
    """Merge all sources into one configuration.

    Args:
        preset: a name from `presets()`, or `None` for the defaults alone.
        file: a YAML (or JSON) file, nested like the tree.
        environ: environment variables; `SPICE_RECIPE__GROUP_SIZE=4` sets `recipe.group_size`.
        sets: assignments `recipe.group_size=4`; a later one wins.

    Raises:
        ConfigError: for an unknown preset or key, a value that is not allowed, or an unreadable file. The message
            names the key, its source, what was expected and the nearest valid key.
    """
    layers: list[tuple[str, Iterator[tuple[str, object]]]] = []
    if preset is not None:
        layers.append((f"preset {preset}", _flatten(load_preset(preset).settings)))
    if file is not None:
        layers.append((f"file {file}", _flatten(_read_file(file))))

    values: dict[str, object] = {}
    origins = dict.fromkeys(FIELDS, "default")
    problems: list[str] = []

    def assign(key: str, value: object, origin: str) -> None:
        if key in FIELDS:
            values[key], origins[key] = value, origin
        else:
            problems.append(_unknown(key, origin))

    for origin, pairs in layers:
        for key, value in pairs:
            assign(key, value, origin)
    for name, text in sorted((environ or {}).items()):
        if name.startswith(PREFIX) and not NOT_SETTINGS.fullmatch(name):
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            assign(key, _parse(key, text, f"environment {name}"), f"environment {name}")
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals:
            raise ConfigError(f"--set {item!r} is no assignment; write it as --set section.key=value")
        assign(key.strip(), _parse(key.strip(), text, "--set"), "--set")

    config = None
    try:
        config = Config.model_validate(_nest(values))
    except ValidationError as error:
        problems += _invalid(error, values, origins)
    if problems or config is None:
        raise ConfigError("\n".join(problems))
    return Resolved(config, origins)


def presets() -> dict[str, Preset]:
    """All presets that ship with the package, by name."""
    folder = resources.files("spice") / "presets"
    found = {
        Path(entry.name).stem: Preset.model_validate(yaml.safe_load(entry.read_text("utf-8")))
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }
    return dict(sorted(found.items()))


def load_preset(name: str) -> Preset:
    """One preset. Raises `ConfigError` naming the presets that exist."""
    available = presets()
    if name not in available:
        raise ConfigError(f"there is no preset {name!r}{_nearest(name, available)}; presets are {', '.join(available)}")
    return available[name]


def settings(resolved: Resolved) -> list[Setting]:
    """Every leaf of the tree with its value, origin and description, in the order of the tree."""
    found = []
    for key, field in FIELDS.items():
        value: object = resolved.config
        for part in key.split("."):
            value = getattr(value, part)
        found.append(Setting(key, value, resolved.origins[key], field.description or ""))
    return found


def _fields(section: type[Section], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _fields(field.annotation, f"{path}{name}.")
        else:
            yield path + name, field


FIELDS: Mapping[str, FieldInfo] = dict(_fields(Config))
SECTIONS = {key.rpartition(".")[0] for key in FIELDS} - {""}


def _read_file(path: Path) -> dict[str, object]:
    try:
        tree = yaml.load(path.read_text("utf-8"), _Loader)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration file {path} is not UTF-8 text (byte {error.start})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"the configuration file {path} is not valid YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"the configuration file {path} must hold a mapping of settings, not {type(tree).__name__}")
    return tree


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, where PyYAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _flatten(tree: Mapping[Any, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and values of a nested mapping; a section without content sets nothing."""
    for name, value in tree.items():
        key = f"{path}{name}"
        if isinstance(value, Mapping) and key not in FIELDS:
            yield from _flatten(value, f"{key}.")
        elif not (value is None and key in SECTIONS):
            yield key, value


def _nest(values: Mapping[str, object]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *parents, leaf = key.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree


def _parse(key: str, text: str, origin: str) -> object:
    """The value that a piece of text stands for, given what the key holds.

    Text stays text where text is expected, so that a revision of digits is no number; several values are
    `a,b` or `[a, b]`; all else is a YAML scalar.
    """
    kinds = _kinds(FIELDS[key].annotation) if key in FIELDS else set()
    text = text.strip()
    if type(None) in kinds and text in ("null", "~", ""):
        return None
    if str in kinds:
        return text
    if tuple in kinds and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key} = {text!r} (from {origin}) is not a YAML value") from error


def _kinds(annotation: object) -> set[object]:
    """The plain types that an annotation admits: `str | None` gives `{str, NoneType}`."""
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*(_kinds(member) for member in get_args(annotation)))
    return {get_origin(annotation) or annotation}


def _unknown(key: str, origin: str) -> str:
    if key in SECTIONS:
        members = [name for name in FIELDS if name.startswith(f"{key}.")]
        return f"{key} (from {origin}) is a group of settings, not a value; set one of {', '.join(members)}"
    return f"there is no setting {key!r} (from {origin}){_nearest(key, FIELDS)}; `spice config show` lists them all"


def _nearest(word: str, choices: Mapping[str, object]) -> str:
    """A hint naming the most similar choice; underscores for dots and a missing section count as similar."""
    plain = {choice.replace(".", "_"): choice for choice in choices}
    leaves = {choice.rpartition(".")[2]: choice for choice in choices}
    for table, wanted in ((plain, word.replace(".", "_")), (leaves, word.rpartition(".")[2])):
        if match := difflib.get_close_matches(wanted, table, n=1, cutoff=0.7):
            return f"; the nearest is {table[match[0]]}"
    return ""


def _invalid(error: ValidationError, values: Mapping[str, object], origins: Mapping[str, str]) -> Iterator[str]:
    seen = set()
    for problem in error.errors(include_url=False):
        parts = [str(part) for part in problem["loc"]]
        key = next((".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in FIELDS), "")
        if not key or key in seen:  # one sentence per setting, also when two items of a list are wrong
            continue
        seen.add(key)
        expected = problem["msg"].removeprefix("Input ").replace("should be", "must be", 1)
        description = FIELDS[key].description
        yield f"{key} = {values.get(key)!r} (from {origins[key]}): {expected}. It means: {description}"
