import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from codistill.data import DataSet, Examples, load
from codistill.discovery import available
from codistill.spec import UnknownName

OWN = """
import torch
from codistill.data import DataSet, Examples

def blobs(n=6, level=0):
    part = Examples(torch.full((n, 1, 2, 2), level, dtype=torch.uint8), torch.arange(n) % 2)
    return DataSet(part, part, 2, "classes", (0.5,), (0.5,), ())

def rooted(root, *, download, **options):
    print(root, download, sorted(options.items()))
    return blobs()

def wrong():
    return 3

def none():
    return blobs(n=8)

number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_data.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_data", None)


def test_the_folder_is_the_list_of_data_sets():
    pictures = "cifar10 cifar100 digits fashion_mnist folder imagenet market1501 mnist omniglot"
    assert {*pictures.split(), "hf", "imdb", "nsmc", "table"} <= set(available("codistill.data"))


def test_every_data_set_has_a_row_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert not [name for name in available("codistill.data") if not re.search(rf"`{name}[`:]", rows)]


def test_a_data_set_is_found_by_name():
    data = load("digits")
    assert isinstance(data, DataSet)
    assert isinstance(data.train, Examples)
    assert data.classes == 10


def test_options_reach_the_data_set(tmp_path):
    with pytest.raises(ValueError, match="labels='rough'"):
        load("cifar100:labels=rough", tmp_path)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("digit", "no data is called 'digit': did you mean 'digits'"),
        ("cifar100:label=coarse", "no option of data 'cifar100' is called 'label': did you mean 'labels'"),
        ("digits:size=3", "no option of data 'digits' is called 'size'"),
        ("mnist:root=here", "no option of data 'mnist' is called 'root'"),
        ("own_data:blob", "no data in module own_data is called 'blob': did you mean 'blobs'"),
    ],
)
@pytest.mark.usefixtures("own")
def test_an_unknown_name_comes_with_the_nearest(spec, said):
    with pytest.raises(UnknownName, match=said):
        load(spec)


def test_a_value_too_many_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data 'cifar100:coarse,fine': 'fine' is one too many \(options: labels\)"):
        load("cifar100:coarse,fine", tmp_path)


@pytest.mark.parametrize("variable", [True, False])
def test_without_a_root_the_usual_one_is_looked_in(tmp_path, monkeypatch, variable):
    monkeypatch.delenv("CODISTILL_DATA", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    if variable:
        monkeypatch.setenv("CODISTILL_DATA", str(tmp_path / "named"))
    usual = tmp_path / "named" if variable else tmp_path / "home" / ".cache" / "codistill"
    with pytest.raises(FileNotFoundError, match=r"--data-root.*--download") as error:
        load("mnist")
    assert str(usual / "MNIST" / "raw") in str(error.value)


@pytest.mark.usefixtures("own")
def test_the_users_own_function_gets_what_it_asks_for(tmp_path, capsys):
    data = load("own_data:blobs,n=4,level=9")
    assert torch.equal(data.train.x, torch.full((4, 1, 2, 2), 9, dtype=torch.uint8))
    load("own_data:rooted,k=1", tmp_path, download=True)
    assert capsys.readouterr().out == f"{tmp_path} True [('k', 1)]\n"


@pytest.mark.usefixtures("own")
def test_the_users_own_function_must_return_a_data_set():
    with pytest.raises(TypeError, match=r"data 'own_data:wrong' returned a int.*codistill\.data\.DataSet"):
        load("own_data:wrong")


@pytest.mark.usefixtures("own")
def test_the_users_own_function_may_be_called_none_but_has_to_be_a_function():
    assert len(load("own_data:none").train) == 8
    with pytest.raises(TypeError, match="data 'own_data:number' is a int: name a function or a class"):
        load("own_data:number")


def test_importing_needs_neither_scikit_learn_nor_pillow():
    modules = "data data.digits data.folder data.mnist data.cifar data.loader data.split"
    code = "; ".join(f"import codistill.{name}" for name in modules.split())
    code += "; import sys; print(sorted({'sklearn', 'PIL', 'rich'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert out.stdout.strip() == "[]"
