"""The base that images are built on: one that is named, the Containerfile's own, or one made of Debian's packages.

The last is for machines that reach a Debian mirror and no registry of images. It is what the Containerfile's base is
made of as well: Debian 12 with Python 3.11.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CONTAINERFILE = Path(__file__).parents[1] / "components/Containerfile"
MADE = "spice-base:bookworm"
PULL_SECONDS = 300
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


class NoBaseError(Exception):
    """No base can be had; the message says what was tried."""


def choose(client: str, named: str | None) -> str:
    """The base to build on, ready in the engine.

    Args:
        client: Program that speaks to the engine.
        named: The base that the user wants; `None` for the one of the Containerfile, or a made one without it.

    Returns:
        Name of an image that the engine has.

    Raises:
        NoBaseError: If the engine lacks it and it can neither be pulled nor made.
    """
    wanted = named or pinned()
    if _has(client, wanted) or _pull(client, wanted):
        return wanted
    if named:
        raise NoBaseError(f"The base {named} is not here and cannot be pulled. BASE_IMAGE names another.")
    if _has(client, MADE):
        return MADE
    if shutil.which("mmdebstrap") is None:
        raise NoBaseError(
            f"The base {wanted} is not here and cannot be pulled. BASE_IMAGE names another; with mmdebstrap "
            "installed, one is made from Debian's packages."
        )
    print(f"*** NO REGISTRY: {wanted} CANNOT BE PULLED. MMDEBSTRAP MAKES A BASE. ***", file=sys.stderr, flush=True)
    _make(client)
    return MADE


def pinned() -> str:
    """The base that the Containerfile names."""
    found = re.search(r"(?m)^ARG BASE_IMAGE=(\S+)$", CONTAINERFILE.read_text("utf-8"))
    if found is None:
        raise NoBaseError(f"{CONTAINERFILE} names no base: there is no line ARG BASE_IMAGE=...")
    return found[1]


def _has(client: str, name: str) -> bool:
    return subprocess.run([client, "image", "inspect", name], capture_output=True, check=False).returncode == 0


def _pull(client: str, name: str) -> bool:
    try:
        done = subprocess.run([client, "pull", name], capture_output=True, check=False, timeout=PULL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _make(client: str) -> None:
    """Make a base of Debian's packages and give it to the engine."""
    options = [
        "--variant=minbase",
        "--include=python3,python3-venv,ca-certificates",
        *(f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("man", "doc", "locale")),
    ]
    if AUTHORITIES.exists():
        # A network that looks into TLS has authorities of its own. This machine knows them; pip looks at its own list.
        options += [
            f'--aptopt=Acquire::https::CAInfo "{AUTHORITIES}"',
            f'--customize-hook=cp {AUTHORITIES} "$1{AUTHORITIES}"',
            f'--customize-hook=printf "[global]\\ncert = {AUTHORITIES}\\n" > "$1/etc/pip.conf"',
        ]
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "base.tar"
        done = subprocess.run(["mmdebstrap", *options, "bookworm", archive], stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise NoBaseError("mmdebstrap made no base; it says above why. It needs a Debian mirror.")
        subprocess.run([client, "import", archive, MADE], stdout=sys.stderr, check=True)
