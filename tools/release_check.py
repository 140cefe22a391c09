"""Check that what would be released is complete, agrees with itself, and works without the source tree.

    make release-check

1. The versions of pyproject.toml and CITATION.cff, the newest section of CHANGELOG.md and, on a tagged commit, the tag
   agree.
2. `python -m build` makes an sdist, and the wheel from it, which hold what they should and nothing else.
3. The wheel, in an empty virtual environment and an empty folder, runs the quick start; the sdist installs and lists.
4. `pipx run` works from the wheel.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUICK_START = ("compare", "--recipe", "silos", "silos_skewed", "few_labels", "same_labels", "--name", "quickstart")
IN_WHEEL = (
    "codistill/py.typed",
    "codistill/cli/listing.json",
    "codistill/report/templates/",
    "dist-info/licenses/LICENSE",
)
NOT_IN_WHEEL = ("tests/", "benchmarks/", "docs/", "examples/")
MOST_BYTES = 3_000_000


def versions(root: Path, tags: Sequence[str]) -> str:
    """The version that every file agrees on.

    Args:
        root: of the source tree.
        tags: of the commit that is checked.

    Raises:
        SystemExit: two differ; the message names both.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    sections = re.findall(r"^## \[([^\]]+)\]", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    released = [name for name in sections if name != "Unreleased"]
    cited = re.search(r"^version: *\"?([^\"\n]+)", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    found = {"CITATION.cff": cited and cited[1], **{f"tag {tag}": tag.removeprefix("v") for tag in tags}}
    if tags:
        found["newest release in CHANGELOG.md"] = released[0] if released else None
    for place, version in found.items():
        if version != project:
            raise SystemExit(f"{place} says {version}, pyproject.toml {project}: make them agree")
    if "Unreleased" not in sections and released[:1] != [project]:
        raise SystemExit(f"CHANGELOG.md has neither a section [Unreleased] nor [{project}]: add what changed")
    return str(project)


def contents(wheel: Path, sdist: Path) -> None:
    """Check what the two archives hold.

    Raises:
        SystemExit: something is absent, does not belong there, or is too big.
    """
    names = zipfile.ZipFile(wheel).namelist()
    if absent := [part for part in IN_WHEEL if not any(part in name for name in names)]:
        raise SystemExit(f"{wheel.name} lacks {', '.join(absent)}")
    if strays := [name for name in names if name.startswith(NOT_IN_WHEEL)]:
        raise SystemExit(f"{wheel.name} holds {', '.join(strays[:3])}, which is not part of the package")
    if (size := wheel.stat().st_size) > MOST_BYTES:
        raise SystemExit(f"{wheel.name} has {size:,} bytes, above {MOST_BYTES:,}: what has grown?")
    with tarfile.open(sdist) as archive:
        held = archive.getnames()
    for needed in ("/src/codistill/py.typed", "/LICENSE", "/README.md", "/CHANGELOG.md"):
        if not any(name.endswith(needed) for name in held):
            raise SystemExit(f"{sdist.name} lacks {needed[1:]}")


def run(command: Sequence[str | Path], cwd: Path) -> str:
    """The standard output of a command that does not see this source tree.

    Raises:
        SystemExit: it failed.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    print("$", *command, flush=True)
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(done.stdout)
        raise SystemExit(f"that ended with exit code {done.returncode}")
    return done.stdout


def installed(archive: Path, folder: Path) -> Path:
    """The `codistill` of a new virtual environment into which an archive was installed."""
    run([sys.executable, "-m", "venv", folder / "venv"], ROOT)
    python = folder / "venv" / "bin" / "python"
    constraints = ("-c", ROOT / "constraints.txt")
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *constraints, archive], folder)
    return python.with_name("codistill")


def main() -> None:
    """Check, and say what holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the quick start with --quick, whose figures mean nothing")
    quick = parser.parse_args().quick
    tags = subprocess.run(["git", "tag", "--points-at", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if tags.returncode:
        raise SystemExit(f"{ROOT} is no git checkout with a commit: releases are made from one")
    version = versions(ROOT, [tag for tag in tags.stdout.split() if tag.startswith("v")])
    print(f"version {version}: pyproject.toml, CITATION.cff and CHANGELOG.md agree")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run([sys.executable, "-m", "build", "--outdir", folder, ROOT], folder)
        wheel, sdist = next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))
        contents(wheel, sdist)
        print(f"{wheel.name}: {wheel.stat().st_size:,} bytes; {sdist.name}: {sdist.stat().st_size:,} bytes")
        for archive, words in ((wheel, (*QUICK_START, *(["--quick"] if quick else []))), (sdist, ("list", "methods"))):
            empty = folder / archive.name.rpartition("-")[2]
            empty.mkdir()
            print(run([installed(archive, empty), *words], empty))
        pages = [*(folder.glob("*/runs/quickstart/report.html"))]
        studies = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*/runs/*/*/summary.json")]
        if len(pages) != 1 or len(studies) != 4 or not all(study["rows"] for study in studies):
            raise SystemExit("the quick start wrote no page, or not four studies")
        constraints = f"-c {ROOT / 'constraints.txt'}"
        print(
            run(
                [
                    "pipx",
                    "run",
                    "--no-cache",
                    f"--pip-args={constraints}",
                    "--spec",
                    wheel,
                    "codistill",
                    "list",
                    "methods",
                ],
                folder,
            )
        )
    print(f"codistill {version} can be released: tag the commit v{version} and date its section of CHANGELOG.md")


if __name__ == "__main__":
    main()
