"""The pages in a headless Chromium. Where there is none, these are skipped.

Structure alone is compared, not pixels: fonts differ from machine to machine.
"""

import html
import json
import re
import shutil
import subprocess

import pytest
import torch

from codistill.report.evidence import Evidence
from codistill.report.study_page import write_report
from codistill.training.decisions import Decisions
from report.conftest import lines_of, typed

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DARK = "--blink-settings=preferredColorScheme=0"
PROBE = """<script>
addEventListener('load', () => {
  const inside = document.querySelector('iframe').contentDocument, view = inside.defaultView;
  const root = inside.documentElement, style = view.getComputedStyle(inside.body);
  const focusable = [...inside.querySelectorAll('a, summary, [tabindex="0"]')];
  const rings = focusable.slice(0, 8).map(each => {
    each.focus({focusVisible: true});
    return [inside.activeElement === each, view.getComputedStyle(each).outlineStyle];
  });
  document.title = JSON.stringify({
    width: view.innerWidth, needs: root.scrollWidth, paper: style.backgroundColor, ink: style.color,
    label: view.getComputedStyle(inside.querySelector('.plot svg text')).fill,
    figures: [...inside.querySelectorAll('.plot svg')].map(each => each.getBoundingClientRect().width),
    requests: view.performance.getEntriesByType('resource').map(each => each.name),
    focusable: focusable.length, rings: rings,
  });
});
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


@pytest.fixture
def page(summary, log, results, tmp_path):
    source = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (797,), generator=source)
    rows = {
        row["method"]: [Decisions.of(torch.randn(row["peers"], 797, 10, generator=source), labels)]
        for row in summary["rows"]
    }
    return write_report(typed(summary), log, lines_of(results), tmp_path / "report.html", Evidence(rows))


def seen(page, width, *options):
    """What a probe finds in the page, as wide as a phone, and what the browser complains of."""
    text = html.escape(page.read_text(encoding="utf-8"))
    frame = f'<iframe srcdoc="{text}" width="{width}" height="800" style="border: 0"></iframe>'
    around = page.with_name("around.html")
    around.write_text(f'<!DOCTYPE html><meta charset="utf-8"><title></title>{frame}{PROBE}', encoding="utf-8")
    arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={page.parent / 'profile'}",
        *options,
        "--dump-dom",
    ]
    done = subprocess.run(
        [CHROMIUM, *arguments, around.as_uri()], capture_output=True, text=True, check=True, timeout=180
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(re.search("<title>(.*?)</title>", done.stdout)[1])), complaints


def test_a_phone_in_the_light(page):
    found, complaints = seen(page, 360)
    assert complaints == []
    assert found["requests"] == []
    assert found["width"] == 360
    assert found["needs"] <= 360
    assert len(found["figures"]) == 8
    assert all(300 < width <= 360 for width in found["figures"])
    assert found["paper"] == "rgb(255, 255, 255)"


def test_a_wide_page_in_the_dark(page):
    found, complaints = seen(page, 1280, DARK)
    assert complaints == []
    assert found["needs"] <= 1280
    assert found["paper"] == "rgb(20, 24, 28)"
    assert found["ink"] == "rgb(228, 232, 236)"
    assert found["label"] in ("rgb(228, 232, 236)", "rgb(162, 172, 182)")  # the text of a figure is the page's


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page):
    found, _ = seen(page, 800)
    assert found["focusable"] > 20
    assert found["rings"] == [[True, "solid"]] * 8
