"""The parameters of a pipeline, and arguments checked against them before anything is started."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import ClusterError, ConfigError

_JSON_TYPES = frozenset({"LIST", "STRUCT", "BOOLEAN", "NUMBER_INTEGER", "NUMBER_DOUBLE"})


class Parameter(BaseModel):
    """One field of the form."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    type: str = Field(alias="parameterType")
    description: str = ""
    default: Any = Field(None, alias="defaultValue")
    optional: bool = Field(False, alias="isOptional")

    @property
    def required(self) -> bool:
        """Whether a job cannot start without it."""
        return not self.optional and self.default is None


def parameters(spec: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters of a compiled pipeline. Raises `ClusterError` if the IR is not what it should be."""
    try:
        found = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return {name: Parameter.model_validate(one) for name, one in found.items()}
    except (KeyError, AttributeError, ValidationError) as error:
        raise ClusterError(f"Kubeflow's copy of the pipeline cannot be read: {error}. Upload it again.") from error


def checked(pipeline: str, known: Mapping[str, Parameter], given: Mapping[str, str]) -> dict[str, Any]:
    """The arguments as Kubeflow wants them.

    Args:
        pipeline: its name, for messages.
        known: its parameters.
        given: arguments as text.

    Raises:
        ConfigError: one is unknown, missing, or not of its parameter's type; all problems are told together.
    """
    problems = [f"{pipeline} has no parameter {name!r}{_nearest(name, known)}" for name in given if name not in known]
    problems += [
        f"{pipeline} needs {name}: {one.description}"
        for name, one in known.items()
        if one.required and name not in given
    ]
    values: dict[str, Any] = {}
    for name, text in given.items():
        try:
            plain = name not in known or known[name].type not in _JSON_TYPES
            values[name] = text if plain else json.loads(text)
        except ValueError:
            problems.append(f'{name} = {text!r} is not JSON; write a list as {name}=\'["a", "b"]\'')
    if problems:
        raise ConfigError("\n".join(problems))
    return values


def _nearest(word: str, choices: Mapping[str, Parameter]) -> str:
    match = difflib.get_close_matches(word, choices, n=1)
    return f"; the nearest is {match[0]}" if match else f"; it has {', '.join(choices)}"
