"""The site builds in strict mode, loads nothing from elsewhere and has every equation; listings are Python."""

import importlib.util
import re
import runpy
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from codistill import Batch, Cohort
from codistill.cli.docs import method_page, which_method_page
from codistill.cli.equations import latex
from codistill.cli.inventory import method_rows

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LISTINGS = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(
        re.findall(r"^```python[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    )
]


@pytest.mark.parametrize("text", LISTINGS)
def test_a_listing_is_python(text):
    compile(text, "listing", "exec")


def test_the_method_of_the_page_is_its_equation(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "own-method.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```python own_method\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "own_method.py").write_text(text, encoding="utf-8")
    method = runpy.run_path(str(tmp_path / "own_method.py"))["WhereWrong"](weight=2.0)
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(9, 5, generator=draw), torch.randint(3, (9,), generator=draw)
    nets = [torch.nn.Linear(5, 3) for _ in range(3)]
    terms = method(Cohort(nets), Batch(x, y))
    log_p = [net(x).log_softmax(-1).detach() for net in nets]
    terms = {name: term.detach() for name, term in terms.items()}
    for i in range(3):
        expected = 0.0
        for sample in range(9):
            if int(log_p[i][sample].argmax()) != int(y[sample]):
                for j in {0, 1, 2} - {i}:
                    q = log_p[j][sample].exp()
                    expected += float((q * (q.log() - log_p[i][sample])).sum()) / 2 / 9
        torch.testing.assert_close(float(terms["mimic"][i]), 2 * expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(terms["task"][i], F.cross_entropy(nets[i](x), y).detach())


def test_the_page_that_helps_to_choose_is_what_was_measured():
    text = (ROOT / "docs" / "which-method.md").read_text(encoding="utf-8")
    assert text == which_method_page(RESULTS), "python -m codistill.cli.docs which-method > docs/which-method.md"


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        (
            "L_i = CE(z_i, y) + w * sum_j W_ij T^2 KL(p_j^T || p_i^T)",
            r"L_{i} = \operatorname{CE}(z_{i}, y) + w \, \sum_{j} W_{ij} T^{2} "
            r"\operatorname{KL}(p_{j}^{T} \,\|\, p_{i}^{T})",
        ),
        ("mean_{j != i} q_j^T", r"\operatorname{mean} _{j \ne i} q_{j}^{T}"),
        (
            "mean over the kept of rho_c",
            r"\operatorname{mean} \text{ over } \text{ the } \text{ kept } \text{ of } \rho _{c}",
        ),
        ("y'_i [t >= b]", r"y'_{i} [t \ge b]"),
    ],
)
def test_equations_of_docstrings_as_latex(equation, expected):
    assert latex(equation) == expected


@pytest.mark.parametrize("name", [row.name for row in method_rows()])
def test_every_method_has_a_page_with_its_equation(name):
    page = method_page(name, RESULTS)
    (equation,) = re.findall(r"^\$\$(L_\{i\} = .+)\$\$$", page, re.M)
    assert equation.count("{") == equation.count("}")
    assert f"Python: `codistill.methods.{name}." in page
    assert "Args:" not in page
    assert "| published |" in page


class Loads(HTMLParser):
    """Gathers what a page would load when it is opened, and its equations."""

    def __init__(self, html):
        super().__init__()
        self.urls, self.equations = [], 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.equations += tag == "math"
        if tag in ("script", "img", "iframe", "source", "audio", "video"):
            self.urls.append(values.get("src") or "")
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.urls.append(values.get("href") or "")


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("mkdocs", "material", "mkdocstrings", "latex2mathml"))),
    reason="the extra docs is not installed; `make docs` builds the site",
)
@pytest.mark.filterwarnings("default")
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path, monkeypatch):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["mkdocs"])
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site")))
    pages = {path.relative_to(tmp_path / "site").as_posix(): path for path in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "tutorial.html", "api.html", "faq.html", "methods/dml.html", "results/family.html"} <= set(
        pages
    )
    found = {name: Loads(path.read_text(encoding="utf-8")) for name, path in pages.items()}
    assert not {url for page in found.values() for url in page.urls if url.startswith(("http", "//"))}
    assert all(page.equations == 1 for name, page in found.items() if name.startswith("methods/"))
    assert not [
        path for path in (tmp_path / "site").rglob("*.css") if "fonts.googleapis" in path.read_text(encoding="utf-8")
    ]
