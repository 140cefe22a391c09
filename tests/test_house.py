"""The house rules: which way imports flow, what files are called, what a method's docstring holds."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from codistill import names

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "codistill"
FILES = sorted(SOURCE.rglob("*.py"))
METHODS = sorted(p for p in (SOURCE / "methods").glob("*.py") if p.name != "__init__.py")

LAYERS = (
    "names randomness run batch",
    "losses",
    "graph models data metrics",
    "cohort",
    "optim checkpoint",
    "methods",
    "fleet",
    "step evaluate",
    "train",
    "study",
    "recipes",
    "report",
    "cli",
)
LAYER = {part: number for number, layer in enumerate(LAYERS) for part in layer.split()}


def part_of(module):
    """``codistill.cohort.groups`` -> ``cohort``; the package itself -> ``""``."""
    return module.partition(".")[2].partition(".")[0]


def module_of(path):
    return ".".join(("codistill", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


def imported(path):
    """Every module of ours that a file imports, inside functions and for type checking too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: write imports out from codistill"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in found if name.partition(".")[0] == "codistill")


def upward(part, module):
    """Whether a part of the package must not import a module; the same layer is open inside one package only."""
    other = part_of(module)
    return other != part and LAYER[other] >= LAYER[part]


def test_every_part_of_the_package_has_a_layer():
    parts = {part_of(module_of(path)) for path in FILES} - {""}
    assert parts == set(LAYER)


@pytest.mark.parametrize("path", [p for p in FILES if part_of(module_of(p))], ids=module_of)
def test_imports_flow_one_way(path):
    part = part_of(module_of(path))
    wrong = [module for module in imported(path) if upward(part, module)]
    assert not wrong, f"{module_of(path)} imports {wrong}"


def test_an_upward_arrow_would_be_found():
    assert upward("losses", "codistill.methods.dml")
    assert upward("models", "codistill.data.load")
    assert not upward("models", "codistill.models.fit")
    assert not upward("cli", "codistill.run.Run")
    assert list(imported(Path(__file__))) == ["codistill.names"]


def test_the_architecture_page_shows_these_layers():
    text = " ".join((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split())
    assert "Imports flow one way: " + " -> ".join(f"`{layer}`" for layer in LAYERS) + "." in text


def test_no_file_has_a_name_that_says_nothing():
    empty = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
    found = [p for p in ROOT.glob("*/**/*.py") if ".venv" not in p.parts and empty & {*p.parts[:-1], p.stem}]
    assert not found


@pytest.mark.parametrize("code", ["import codistill, codistill.cli", "from codistill.cli import main; main(['--help'])"])
def test_help_does_not_wait_for_torch(code):
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def undocumented(path):
    """Public classes, functions and methods without a docstring; what only overrides says it where it is declared."""
    overridden = {"forward", "extra_repr", *OVERRIDDEN}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield node.name
        for inner in node.body if isinstance(node, ast.ClassDef) and node.bases else ():
            inherits = isinstance(inner, ast.FunctionDef) and inner.name in overridden
            if isinstance(inner, ast.FunctionDef) and not inherits and needs_docstring(inner):
                yield f"{node.name}.{inner.name}"
        for inner in node.body if isinstance(node, ast.ClassDef) and not node.bases else ():
            if isinstance(inner, ast.FunctionDef) and needs_docstring(inner):
                yield f"{node.name}.{inner.name}"


def needs_docstring(function):
    plain = any(getattr(d, "id", "") == "property" for d in function.decorator_list)
    return not function.name.startswith("_") and not ast.get_docstring(function) and not plain


# Declared, with their docstring, in an abstract class of ours or in torch's Module.
OVERRIDDEN = {
    "between",
    "prepare",
    "start_epoch",
    "after_step",
    "repeat",
    "train",
    "run",
    "leaves",
    "network",
    "take",
}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_whatever_is_public_has_a_docstring(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "the file has none"
    assert not list(undocumented(path))


@pytest.mark.parametrize("path", METHODS, ids=lambda p: p.stem)
def test_a_method_is_short_and_says_its_equation_and_its_paper(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    for name in ast.literal_eval(re.search(r"^__all__ = (.*)$", text, re.M).group(1)):
        found, _ = names.find("codistill.methods", names.Spec(path.stem))
        assert found.__name__ == name
        assert re.search(r"\bL(_\w+)? =", found.__doc__), "no equation, L_i = ..."
        assert re.search(r"arXiv:\d{4}\.\d{4,5}|\b(CVPR|ICCV|ECCV|ICLR|ICML|NeurIPS|AAAI)\b", found.__doc__), "no paper"
        assert found.title


def tracked():
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if found.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in found.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_file_names_a_place_on_somebody_s_machine():
    places = re.compile(rb"(?<![\w.])/(work|root|home|Users|mnt|scratch)/\w")
    found = [f"{p.relative_to(ROOT)}: {m.group()!r}" for p in tracked() for m in [places.search(p.read_bytes())] if m]
    assert not found


PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_files_that_a_page_names_are_there(page):
    text = page.read_text(encoding="utf-8")
    written = re.findall(r"`([\w./-]+\.(?:py|md|json|toml))`", text) + re.findall(r"\]\(([\w./-]+)\)", text)
    written += re.findall(r"^ +(\w+\.py|\w+/) ", text, re.M)  # the tree in architecture.md
    made = {"study.json", "costs.json", "summary.json", "runs.json", "state.json", "results.jsonl", "log.jsonl"}
    homes = (page.parent, ROOT, ROOT / "src", SOURCE, ROOT / "benchmarks" / "results")
    missing = [
        name
        for name in written
        if name not in made and "NAME" not in name and not any((home / name).exists() for home in homes)
    ]
    assert not missing


def commands():
    """Every ``codistill ...`` that a page or the Makefile tells people to type."""
    for page in [*PAGES, ROOT / "Makefile"]:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"(?:^|`|\(BIN\)/|\$ )codistill ([a-z]+[^`\n#|]*)", text, re.M):
            yield pytest.param(line.split(), id=f"{page.name}: {line.strip()}")


@pytest.mark.parametrize("words", list(commands()))
def test_the_commands_that_pages_show_are_understood(words, monkeypatch):
    from codistill import cli

    reached = []
    for command in cli.COMMANDS.values():
        monkeypatch.setattr(command, "__call__", lambda self, *rest: reached.append(self))
    cli.main(words)
    assert len(reached) == 1
