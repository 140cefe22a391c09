"""Count what docs/architecture.md says of the code: `python benchmarks/house_counts.py [SOURCE]`."""

import ast
import io
import json
import statistics
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "codistill"
LONGEST = 40  # lines of a function
Function = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(text: str) -> set[int]:
    """The lines that hold code: no blank line, no line of a comment or of a docstring alone."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def functions(tree: ast.Module) -> Iterator[Function]:
    """Every function and method of a module."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function, lines: set[int]) -> int:
    """Code lines of a function's body: without its decorators, signature, docstring and comments."""
    return sum(function.body[0].lineno <= line <= (function.end_lineno or 0) for line in lines)


def function_lines(function: Function, lines: set[int]) -> int:
    """Code lines of a function: with its decorators and signature, without its docstring and comments."""
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    return sum(first <= line <= (function.end_lineno or 0) for line in lines)


def layers(source: Path) -> int:
    """The length of the longest chain of imports between the parts of the package."""
    imports: dict[str, set[str]] = {}
    for path in source.rglob("*.py"):
        part = path.relative_to(source).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "codistill":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.partition(".")[0] == "codistill"]
            else:
                continue
            imports.setdefault(part, set()).update(name.split(".")[1] for name in names if "." in name)
    parts = {path.stem for path in source.glob("*.py")} | {path.parent.name for path in source.glob("*/__init__.py")}

    def height(part: str) -> int:
        below = (imports.get(part, set()) & parts) - {part, "__init__"}
        return 1 + max(map(height, below), default=0)

    return max(height(part) for part in parts - {"__init__", "__main__"})


def calls(tree: ast.AST, owner: str, method: str) -> int:
    """How often `owner.method(...)` is called; inside the class itself, by way of `cls` too."""

    def by(name: str, where: ast.AST) -> int:
        return sum(
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == method
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == name
            for node in ast.walk(where)
        )

    inside = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == owner]
    return by(owner, tree) + sum(by("cls", node) for node in inside)


def refusals(tree: ast.Module, words: str) -> int:
    """How many `raise` statements say these words."""
    return sum(isinstance(node, ast.Raise) and words in ast.unparse(node) for node in ast.walk(tree))


def counts(source: Path) -> dict[str, float]:
    """Every figure by its name."""
    files = {path: path.read_text(encoding="utf-8") for path in sorted(source.rglob("*.py"))}
    lines = {path: code_lines(text) for path, text in files.items()}
    trees = {path: ast.parse(text) for path, text in files.items()}
    methods = [path for path in files if path.parent.name == "methods" and path.stem != "__init__"]
    every = [(path, function) for path, tree in trees.items() for function in functions(tree)]
    loose = {path: text.count("dict[str, Any]") for path, text in files.items()}
    return {
        "files": len(files),
        "lines": sum(len(text.splitlines()) for text in files.values()),
        "code lines": sum(map(len, lines.values())),
        "methods": len(methods),
        "median lines of a method's file": statistics.median(len(files[path].splitlines()) for path in methods),
        "longest forward of a method, lines of its body": max(
            body_lines(f, lines[path]) for path in methods for f in functions(trees[path]) if f.name == "forward"
        ),
        "import layers": layers(source),
        f"functions above {LONGEST} lines": sum(function_lines(f, lines[path]) > LONGEST for path, f in every),
        "dict[str, Any]": sum(loose.values()),
        "dict[str, Any] in report/": sum(n for path, n in loose.items() if "report" in path.parts),
        "places that parse a spec": sum(calls(tree, "Spec", "parse") for tree in trees.values()),
        "places that check a whole number": sum(refusals(tree, "give a whole number") for tree in trees.values()),
    }


if __name__ == "__main__":
    print(json.dumps(counts(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE), indent=1))
