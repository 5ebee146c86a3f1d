"""List what each image holds, from its lock, as CycloneDX: FOLDER/spice-IMAGE.cdx.json.

    python scripts/sbom.py FOLDER

The same lock gives the same bytes. What a built image really holds, with the licences and including what its lock
leaves to pip, is listed by the target `sbom` of components/Containerfile.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "components/locks"


def main(argv: list[str]) -> int:
    """Write one list per image; returns the exit code."""
    folder = Path(argv[0])
    folder.mkdir(parents=True, exist_ok=True)
    for lock in sorted(LOCKS.glob("*.txt")):
        path = folder / f"spice-{lock.stem}.cdx.json"
        arguments = ["--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--output-file", path, lock]
        subprocess.run([sys.executable, "-m", "cyclonedx_py", "requirements", *arguments], check=True)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
