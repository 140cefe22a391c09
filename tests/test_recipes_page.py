"""What is listed of recipes: what to type, and what others published, with how sure it is."""

import io

import pytest
from rich.console import Console

from codistill import discovery, recipes
from codistill.cli.docs import recipes_page
from codistill.cli.inventory import command, recipe_rows
from codistill.cli.listing import listing

RECIPES = discovery.available("codistill.recipes")


@pytest.fixture(scope="module")
def printed():
    console = Console(width=2000, record=True, file=io.StringIO())
    console.print(listing("recipes"))
    return console.export_text()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_listed_with_its_command_and_published_figures(recipe, printed):
    lines = [line.split() for line in printed.splitlines()]
    assert any(line[:1] == [recipe] and len(line) > 4 for line in lines)
    assert ["codistill", "compare", "--recipe", recipe] in lines
    for figure in recipes.get(recipe).published:
        assert f"published: {figure}" in printed


def test_a_recipe_for_two_sets_is_listed_for_both(printed):
    assert "codistill compare --recipe paper_pairs:data=cifar10 " in printed
    assert "WRN-28-10 + WRN-28-10: alone 95.01, DML 95.66 / 95.63 [read2, one transcription]" in printed
    (row,) = (row for row in recipe_rows() if row.name == "kd_zoo")
    assert list(row.studies) == ["kd_zoo", "kd_zoo:data=cifar100"]
    assert command("kd_zoo:data=cifar100") == "codistill compare --recipe kd_zoo:data=cifar100"


def test_how_sure_a_figure_is_is_explained_once(printed):
    page = recipes_page()
    assert page.count("`[read2]` second hand") == page.count("`[read2]`") == 1
    assert printed.count("[read2]: second hand") == 1


def test_the_page_says_what_is_trained():
    page = recipes_page()
    section = page.partition("## paper_market\n")[2].partition("\n## ")[0]
    assert "no pre-training" in section
    assert "124 epochs, batch 16, 3 seeds" in section
    assert "adam, rate 0.0002, decay 4e-05, constant" in section
    assert "`dml:peers=2,models=inception+mobilenet:form=reid`" in section
    assert "mAP 46.07 [read]" in section
