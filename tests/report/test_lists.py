import io
import subprocess
import sys

import pytest
import torch
from rich.console import Console

from codistill import names
from codistill.report.lists import listing, parameters

COUNTS = {  # METHODS B, with the options' defaults
    "resnet20": (272_474, 278_324),
    "resnet32": (466_906, 472_756),
    "resnet56": (855_770, 861_620),
    "resnet110": (1_730_714, 1_736_564),
    "wrn28_10": (36_479_194, 36_536_884),
    "wrn16_2": (691_674, 703_284),
    "mobilenet": (3_217_226, 3_309_476),
}


def printed(what, width=110):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(listing(what))
    return console.export_text()


@pytest.mark.parametrize(("name", "counts"), COUNTS.items())
def test_parameters_for_ten_and_for_a_hundred_classes(name, counts):
    assert parameters(name) == (counts, "3 x 32 x 32")


def test_parameters_are_counted_for_what_a_network_takes():
    assert parameters("inception") == ((5_610_154, 5_702_404), "3 x 224 x 224")
    vocabulary, gates = 15_000 * 100, 2 * (256 * (100 + 64) + 512) + 2 * (256 * (128 + 64) + 512)
    assert parameters("bilstm") == (tuple(vocabulary + gates + 129 * c for c in (10, 100)), "15,000 token ids")
    assert parameters("hf") == ((), "")  # of what name?


def test_every_network_is_listed_with_its_parameters_and_options():
    text = printed("models")
    rows = {line.split()[0]: line for line in text.splitlines() if line[:1].strip()}
    assert set(names.available("codistill.models")) <= set(rows)
    assert rows["wrn28_10"].split()[1:3] == ["36,479,194", "36,536,884"]
    assert rows["bigru"].split()[1:3] == ["4,229,898", "4,276,068"]
    assert "counted for: 15,000 token ids" in text
    assert "options: hidden=256 embedding=160 dropout=0.5 layers=2" in text
    assert "vectors" not in text  # the data's


def test_other_lists_say_names_options_and_what_it_is():
    assert "mnist" in printed("data")
    assert "digits" in printed("recipes")
    assert "dml" in printed("methods")


@pytest.mark.skipif(torch.__version__ < "2.13", reason="torch.nn.init itself imports sympy, as in 2.8")
def test_counting_is_quick():
    """Nothing is allocated or drawn, and torch's symbolic mathematics, a second to import, stays out."""
    script = (
        "import sys\nfrom codistill.report.lists import listing\nlisting('models')\nassert 'sympy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
