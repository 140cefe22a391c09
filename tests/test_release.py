"""The release check sees what is wrong."""

import importlib.util
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("release_check", ROOT / "tools" / "release_check.py")
release = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(release)


def tree(folder, version="0.2.0", cited="0.2.0", changelog="## [Unreleased]\n"):
    folder.joinpath("pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    folder.joinpath("CITATION.cff").write_text(f"cff-version: 1.2.0\nversion: {cited}\ntype: software\n")
    folder.joinpath("CHANGELOG.md").write_text(changelog)
    return folder


def test_this_tree_agrees_with_itself():
    assert (
        release.versions(ROOT, []) == release.tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    )


@pytest.mark.parametrize(
    ("given", "tags", "said"),
    [
        ({"cited": "0.1.0"}, [], "CITATION.cff says 0.1.0, pyproject.toml 0.2.0"),
        ({}, ["v0.3.0"], "tag v0.3.0 says 0.3.0"),
        ({}, ["v0.2.0"], "newest release in CHANGELOG.md says None"),
        ({"changelog": "## [0.1.0] - 2026-01-01\n"}, [], r"neither a section \[Unreleased\] nor \[0.2.0\]"),
    ],
)
def test_versions_that_disagree_are_named(tmp_path, given, tags, said):
    with pytest.raises(SystemExit, match=said):
        release.versions(tree(tmp_path, **given), tags)


def test_a_tagged_version_with_its_section_passes(tmp_path):
    assert release.versions(tree(tmp_path, changelog="## [0.2.0] - 2026-01-01\n"), ["v0.2.0"]) == "0.2.0"


WHEEL = (
    "codistill/py.typed",
    "codistill/cli/listing.json",
    "codistill/report/templates/page.html",
    "x.dist-info/licenses/LICENSE",
)
SDIST = ("x/src/codistill/py.typed", "x/LICENSE", "x/README.md", "x/CHANGELOG.md")


def archives(folder, wheel=WHEEL, sdist=SDIST):
    with zipfile.ZipFile(folder / "x.whl", "w") as archive:
        for name in wheel:
            archive.writestr(name, "")
    with tarfile.open(folder / "x.tar.gz", "w:gz") as archive:
        for name in sdist:
            archive.addfile(tarfile.TarInfo(name))
    return folder / "x.whl", folder / "x.tar.gz"


def test_whole_archives_pass(tmp_path):
    release.contents(*archives(tmp_path))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"wheel": WHEEL[:2]}, "lacks codistill/report/templates/"),
        ({"wheel": (*WHEEL, "tests/test_x.py")}, "holds tests/test_x.py"),
        ({"sdist": SDIST[:2]}, "lacks README.md"),
    ],
)
def test_what_archives_lack_or_hold_too_much_is_named(tmp_path, given, said):
    with pytest.raises(SystemExit, match=said):
        release.contents(*archives(tmp_path, **given))
