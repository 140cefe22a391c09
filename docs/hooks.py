"""What the site has besides the files of this folder: the README as its first page, the tables of `benchmarks/results`,
a page for each method, and equations as MathML, so that none needs a script.
"""

import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from codistill.cli.docs import method_page
from codistill.discovery import available

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
METHODS = "Each method"
MORE = "More"
_EQUATION = re.compile(r"^\$\$(.+?)\$\$$", re.M | re.S)
_LINK = re.compile(r"(\]\(|src=\")((?!https?:|#|mailto:)[^)\s\"#]+)(#[^)\"]*)?(?=[)\"])")
_INTERVAL = re.compile(r"\[(?![^\]]*\]\()")
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.M | re.S)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation without pages that are not there, with all that are, and with a page for each method."""
    there = {path.name for path in (ROOT / "docs").glob("*.md")} | {"index.md"}
    named: set[str] = set()
    config.nav = _kept(config.nav or [], there, named)
    if left := sorted(there - named):
        config.nav.append({MORE: list(left)})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from elsewhere."""
    pages = {"index.md": (ROOT / "README.md").read_text(encoding="utf-8")}
    pages |= {f"methods/{name}.md": method_page(name, RESULTS) for name in available("codistill.methods")}
    pages |= {f"results/{path.name}": path.read_text(encoding="utf-8") for path in RESULTS.glob("*.md")}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    for path in [*RESULTS.glob("*.svg"), *RESULTS.glob("*.json")]:
        files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links to files outside this folder lead where these are on the site, and equations become MathML."""
    home = "" if page.file.src_uri.count("/") == 0 else "../"

    def led(match: re.Match[str]) -> str:
        return f"{match[1]}{_target(page.file.src_uri, match[2], home)}{match[3] or ''}"

    pieces = _CODE.split(markdown)
    pieces[::2] = [_LINK.sub(led, piece) for piece in pieces[::2]]
    pieces[1::2] = [piece.replace(r"\|", "|") for piece in pieces[1::2]]  # in a table, GitHub wants it so within code
    if page.file.src_uri.startswith("results/"):  # two intervals are no link with its reference
        pieces[::2] = [_INTERVAL.sub(r"\\[", piece) for piece in pieces[::2]]
    text = _EQUATION.sub(
        lambda found: f'<div class="equation">{convert(found[1], display="block")}</div>', "".join(pieces)
    )
    return text if text.lstrip().startswith("#") else f"# {Path(page.file.src_uri).stem}\n\n{text}"


def _target(page: str, link: str, home: str) -> str:
    """Where a link of a page leads; what is not on the site is named by its path in the repository."""
    folder = {"index.md": ROOT}.get(page, RESULTS if page.startswith("results/") else ROOT / "docs")
    if page.startswith("methods/"):
        return link
    path = (folder / link).resolve()
    if not path.exists():
        return link  # strict mode complains
    if path.is_relative_to(ROOT / "docs"):
        return home + path.relative_to(ROOT / "docs").as_posix()
    if path.is_relative_to(RESULTS):
        return f"{home}results/{path.name}"
    return home + ("index.md" if path == ROOT / "README.md" else "architecture.md")


def _kept(nav: list[Any], there: set[str], named: set[str]) -> list[Any]:
    """The entries of which there is a page."""
    kept: list[Any] = []
    for entry in nav:
        title, value = next(iter(entry.items()))
        if title == METHODS:
            kept.append({title: [f"methods/{name}.md" for name in available("codistill.methods")]})
        elif isinstance(value, list):
            if inner := _kept(value, there, named):
                kept.append({title: inner})
        elif value in there:
            named.add(value)
            kept.append(entry)
    return kept
