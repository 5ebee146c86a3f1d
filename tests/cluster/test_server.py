"""The script that serves a Kubernetes API, where it has nothing to serve it with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/kube_server.py"


def run(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("named", [False, True], ids=["no folder", "empty folder"])
def test_without_binaries_it_says_which_are_missing(named: bool, tmp_path: Path) -> None:
    done = run({"KUBEBUILDER_ASSETS": str(tmp_path)} if named else {})
    assert done.returncode == 2
    assert "No etcd and no kube-apiserver" in done.stderr
    assert "KUBEBUILDER_ASSETS" in done.stderr


@pytest.mark.skipif(shutil.which("ls") is None, reason="NO ls")
def test_a_server_that_ends_at_once_is_told_with_its_words(tmp_path: Path) -> None:
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).symlink_to(shutil.which("ls") or "")
    done = run({"KUBEBUILDER_ASSETS": str(tmp_path), "TMPDIR": str(tmp_path)})
    assert done.returncode == 1
    assert "kube-apiserver.log: " in done.stderr
    assert done.stdout == ""
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("spice-kube-")]
