"""The house rules: which way imports flow, what files are called, what a method's docstring holds."""

import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

from codistill import discovery
from codistill.cli.docs import methods_page, names_page, recipes_page
from codistill.report.lessons import Lesson, lead, lessons_table
from codistill.report.markdown import small
from codistill.spec import Spec
from codistill.study import Summary

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "codistill"
FILES = sorted(SOURCE.rglob("*.py"))

LAYERS = (
    "spec checks randomness batch devices libraries files locks caching",
    "discovery exchange jsonable statistics",
    "data losses models run schedules",
    "cohort graph metrics tuned",
    "checkpoint description methods optim",
    "deployment training",
    "study",
    "analysis recipes tracking",
    "report",
    "cli fitting",
)
LAYER = {part: number for number, layer in enumerate(LAYERS) for part in layer.split()}


def part_of(module):
    """``codistill.cohort.groups`` -> ``cohort``; the package itself -> ``""``."""
    return module.partition(".")[2].partition(".")[0]


def module_of(path):
    return (
        ".".join(("codistill", *path.relative_to(SOURCE).with_suffix("").parts))
        .removesuffix(".__init__")
        .removesuffix(".__main__")
    )


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
    assert not upward("models", "codistill.models.parts.checks")
    assert not upward("cli", "codistill.run.Run")
    assert {"codistill.discovery", "codistill.cli"} <= set(imported(Path(__file__)))


def test_the_architecture_page_shows_these_layers():
    text = " ".join((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split())
    assert "Imports flow one way: " + " -> ".join(f"`{layer}`" for layer in LAYERS) + "." in text


def code_of(node, text):
    """Code lines of a function: with its decorators and signature, without its docstring, comments and blanks."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    docstring = node.body[0] if ast.get_docstring(node) else None
    skipped = range(docstring.lineno, docstring.end_lineno + 1) if docstring else ()
    lines = enumerate(text.splitlines()[first - 1 : node.end_lineno], first)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and i not in skipped for i, line in lines)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_functions_are_short_enough_to_see_whole(path):
    text = path.read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    long = {node.name: code_of(node, text) for node in functions if code_of(node, text) > 40}
    assert not long


def test_the_forward_of_a_method_fits_beside_its_equation():
    for path in (SOURCE / "methods").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name == "forward":
                assert code_of(node, text) <= 20, path.name


def test_reports_are_typed():
    assert not [path for path in (SOURCE / "report").rglob("*.py") if "dict[str, Any]" in path.read_text("utf-8")]


def test_no_file_has_a_name_that_says_nothing():
    empty = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
    found = [p for p in ROOT.glob("*/**/*.py") if ".venv" not in p.parts and empty & {*p.parts[:-1], p.stem}]
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "import codistill, codistill.cli",
        "from codistill.cli import main; main(['--help'])",
        "from codistill.cli import main; [main(['list', what]) for what in ('methods', 'models', 'data', 'recipes')]",
    ],
)
def test_help_and_lists_do_not_wait_for_torch(code):
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def undocumented(module):
    """Public classes, functions and methods without a docstring of their own or of what they override."""
    for name, found in vars(module).items():
        if name.startswith("_") or getattr(found, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(found) and not inspect.getdoc(found):
            yield name
        if inspect.isclass(found):
            if not found.__doc__ or (dataclasses.is_dataclass(found) and found.__doc__.startswith(f"{name}(")):
                yield name
            inner = [n for n, m in vars(found).items() if isinstance(m, FunctionType | classmethod | staticmethod)]
            yield from (f"{name}.{n}" for n in inner if n[0] != "_" and not inspect.getdoc(getattr(found, n)))


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_whatever_is_public_has_a_docstring(path):
    module = importlib.import_module(module_of(path))
    assert module.__doc__
    assert not list(undocumented(module))


def test_a_methods_file_is_short():
    long = {p.name: n for p in (SOURCE / "methods").glob("*.py") if (n := len(p.read_text().splitlines())) >= 150}
    assert not {name: n for name, n in long.items() if name != "__init__.py"}


PAPER = r"arXiv:\d{4}\.\d{4,5}|\b(CVPR|ICCV|ECCV|ICLR|ICML|NeurIPS|AAAI|[Oo]urs)\b"


@pytest.mark.parametrize("name", discovery.available("codistill.methods"))
def test_a_method_says_its_equation_and_its_paper(name):
    assert (SOURCE / "methods" / f"{name}.py").exists()
    found, _ = discovery.find("codistill.methods", Spec(name))
    assert re.search(r"\bL(_\w+)? =", found.__doc__), "no equation: write L_i = ..."
    assert re.search(PAPER, found.__doc__), "no paper: name it, or say that the method is ours"
    assert found.title


def tracked():
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if found.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in found.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_file_names_a_place_on_somebodys_machine():
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
    made |= {"tokenizer.json", "analysis.json", "chapters.json", "networks.json", "config.json"}
    made |= {"doubts.json", "examples.json", "report.md", "tune.json"}
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
            if "--help" not in line:
                yield pytest.param(line.split(), id=f"{page.name}: {line.strip()}")


@pytest.mark.parametrize("words", list(commands()))
def test_the_commands_that_pages_show_are_understood(words, monkeypatch):
    from codistill import cli
    from codistill.cli.chapters import CompareSeveral
    from codistill.cli.commands import COMMANDS

    reached = []
    for command in (*COMMANDS.values(), CompareSeveral):
        monkeypatch.setattr(command, "__call__", lambda self, *rest: reached.append(self))
    cli.main(words)
    assert len(reached) == 1


def test_the_readme_shows_what_was_measured():
    text, results = (ROOT / "README.md").read_text(encoding="utf-8"), ROOT / "benchmarks" / "results"
    names = re.findall(r"--recipe ([\w ]+?) --name quickstart", (ROOT / "Makefile").read_text(encoding="utf-8"))[0]
    kept = [Summary.from_json((results / f"{name}.json").read_text(encoding="utf-8")) for name in names.split()]
    lessons = [Lesson(summary.recipe, summary) for summary in kept]
    assert small(lessons_table(lessons)) in text
    wide, narrow = re.compile(r"\s+"), " ".join(text.split())
    assert all(wide.sub(" ", sentence) in narrow for sentence in lead(lessons)[1:])


def test_the_page_of_methods_is_what_the_methods_say():
    assert (ROOT / "docs" / "methods.md").read_text(encoding="utf-8") == methods_page(ROOT / "benchmarks" / "results")


def test_the_page_of_recipes_is_what_the_recipes_say():
    assert (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8") == recipes_page()


def test_the_page_of_names_is_what_the_folders_hold():
    text = (ROOT / "docs" / "names.md").read_text(encoding="utf-8")
    assert text == names_page(), "run python -m codistill.cli.docs names > docs/names.md"
