import inspect
import io

import pytest
from rich.console import Console

from codistill import DataSet, discovery
from codistill.cli import inventory, listing as listed
from codistill.cli.inventory import parameters
from codistill.cli.listing import listing

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
    assert set(discovery.available("codistill.models")) <= set(rows)
    assert rows["wrn28_10"].split()[1:3] == ["36,479,194", "36,536,884"]
    assert rows["bigru"].split()[1:3] == ["4,229,898", "4,276,068"]
    assert "counted for: 15,000 token ids" in text
    assert "options: hidden=256 embedding=160 dropout=0.5 layers=2" in text
    assert "vectors" not in text  # the data's


def test_other_lists_say_names_options_and_what_it_is():
    assert "mnist" in printed("data")
    assert "digits" in printed("recipes")
    assert "dml" in printed("methods")


def test_the_file_that_is_printed_is_what_the_package_holds():
    said = "run python -m codistill.cli.docs listing > src/codistill/cli/listing.json"
    assert listed.FILE.read_text(encoding="utf-8") == inventory.as_json(), said


@pytest.mark.parametrize("name", discovery.available("codistill.data"))
def test_what_is_listed_as_data_is_a_data_set(name):
    make, _ = discovery.find("codistill.data", name)
    assert inspect.signature(make).return_annotation is DataSet


def test_names_that_the_file_does_not_have_are_looked_for(monkeypatch, tmp_path):
    before = printed("shards")
    assert listed.kept("shards") == inventory.entries("shards")
    (tmp_path / "listing.json").write_text(listed.FILE.read_text(encoding="utf-8").replace("dirichlet", "another"))
    monkeypatch.setattr(listed, "FILE", tmp_path / "listing.json")
    assert listed.kept("shards") is None
    assert printed("shards") == before
    (tmp_path / "listing.json").unlink()
    assert printed("shards") == before


def test_what_is_listed_does_not_depend_on_the_current_folder(tmp_path, monkeypatch):
    here = printed("methods")
    monkeypatch.chdir(tmp_path)
    assert printed("methods") == here
