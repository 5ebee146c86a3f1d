"""An engine that runs containers, and the images built on it once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = ("console", "cpu")
TAG = "spice-test:built"
REPORT = pytest.StashKey[list[str]]()


@dataclass(frozen=True)
class Images:
    """The images by target, and the folder with the list of what each holds."""

    names: dict[str, str]
    contents: Path


@pytest.fixture(scope="session")
def docker() -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs the client of an engine: the one that runs already, or one started here and ended again."""
    script = [sys.executable, ROOT / "scripts/container_engine.py"]
    with (
        subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in (process.stdout.readline(), process.stdout.readline()):
                if not line:
                    said = process.stderr.read()
                    assert process.wait() == 2, said
                    pytest.skip(said)
                key, _, value = line.strip().partition("=")
                patch.setenv(key, value)
            client = os.environ["CONTAINER_CLIENT"]

            def run(*arguments: str) -> subprocess.CompletedProcess[str]:
                return subprocess.run([client, *arguments], capture_output=True, text=True, check=False, timeout=600)

            yield run
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def images(
    docker: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Images]:
    """The images that need no GPU, built."""
    folder = tmp_path_factory.mktemp("contents")
    command = [sys.executable, "scripts/build_images.py", *TARGETS, "--tag", TAG, "--sbom", str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, "the build says above why it failed"
    pytestconfig.stash[REPORT] = [line for line in done.stdout.splitlines() if line.startswith(TAG)]
    names = {target: TAG if target == "cpu" else f"{TAG}-{target}" for target in TARGETS}
    yield Images(names, folder)
    for name in names.values():
        docker("image", "rm", name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the images take, also when every test passed."""
    if lines := config.stash.get(REPORT, []):
        terminalreporter.section("images")
        for line in lines:
            terminalreporter.write_line(line)
