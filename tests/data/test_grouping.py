"""Whose each training example is."""

import csv

import pytest
import torch
from PIL import Image

from codistill.data import DataSet, Examples, load
from codistill.data.split import split
from codistill.run import Run
from codistill.training.build import build_fleet

CLINICS = ("north", "south", "10", "9")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CODISTILL_CACHE", str(tmp_path / "kept"))


def write_table(path, rows, head=("text", "label", "clinic")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def visits(n=40):
    return [(f"word{i}", ("ill", "well")[i % 2], CLINICS[i // 2 % 4]) for i in range(n)]


def images(root, clinics=CLINICS, n=3):
    """Images of two classes whose red says the clinic."""
    for c, label in enumerate(("ill", "well")):
        for number, clinic in enumerate(clinics):
            for i in range(n):
                path = root / label / clinic / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (6, 6), (number, c, i)).save(path)


def examples(n=6, group=None):
    return Examples(torch.arange(n * 4, dtype=torch.uint8).view(n, 1, 2, 2), torch.arange(n) % 2, group)


def test_groups_go_with_their_examples():
    whole = examples(group=torch.tensor([0, 1, 2, 0, 1, 2]))
    assert whole.take(torch.tensor([5, 0])).group.tolist() == [2, 0]
    assert whole.of_classes([1]).group.tolist() == [1, 0, 2]
    assert whole.to("cpu").group.tolist() == whole.shared(2).group.tolist() == [0, 1, 2, 0, 1, 2]


def test_groups_go_through_a_split():
    group = torch.arange(40) % 4
    data = DataSet(examples(40, group), examples(), 2, "classes", (0.0,), (1.0,), (), groups=CLINICS)
    parts = split(data, 0, labels=20, valid=8)
    for part in (parts.train, parts.valid, parts.unlabelled):
        assert torch.equal(part.group, part.x[:, 0, 0, 0].long() // 4 % 4)


def test_what_groups_cannot_be_is_said():
    with pytest.raises(ValueError, match=r"group is torch.float32 of shape \[6\]: make it int64 \[6\]"):
        examples(group=torch.zeros(6))
    with pytest.raises(ValueError, match=r"group is torch.int64 of shape \[5\]: make it int64 \[6\]"):
        examples(group=torch.zeros(5, dtype=torch.int64))
    three = examples(group=torch.tensor([0, 1, 2, 0, 1, 2]))
    with pytest.raises(ValueError, match=r"train.group goes from 0 to 2, and groups has 2 names: name them all"):
        DataSet(three, examples(), 2, "classes", (0.0,), (1.0,), (), groups=("a", "b"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_column_of_a_table_says_the_group(tmp_path, suffix, beside):
    if suffix == ".csv":
        write_table(tmp_path / "train.csv", visits())
    else:
        pyarrow = pytest.importorskip("pyarrow")
        names = ("text", "label", "clinic")
        columns = {name: list(values) for name, values in zip(names, zip(*visits(), strict=True), strict=True)}
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), tmp_path / "train.parquet")
    if beside:
        write_table(tmp_path / "test.csv", [("word1", "ill"), ("word2", "well")], ("text", "label"))
    data = load("table:group=clinic,min_count=1,tokenizer=words", tmp_path)
    assert data.groups == ("9", "10", "north", "south")
    assert data.test.group is None
    assert len(data.train) == (40 if beside else 32)
    from tokenizers import Tokenizer

    written = {text: clinic for text, _, clinic in visits()}
    tokenizer = Tokenizer.from_str(data.text.tokenizer)
    for x, group in zip(data.train.x.tolist(), data.train.group.tolist(), strict=True):
        assert data.groups[group] == written[tokenizer.id_to_token(x[0])]


def test_a_row_without_a_group_and_a_column_that_is_not_there_are_said(tmp_path):
    write_table(tmp_path / "train.csv", [*visits(), ("word", "ill", " ")])
    with pytest.raises(ValueError, match="line 42: column 'clinic' is empty: repair it"):
        load("table:group=clinic", tmp_path)
    with pytest.raises(ValueError, match="is called 'clinik'.*did you mean 'clinic'"):
        load("table:group=clinik", tmp_path)


@pytest.mark.parametrize("parts", [True, False])
def test_the_folder_below_the_class_says_the_group(tmp_path, parts):
    images(tmp_path / "train" if parts else tmp_path)
    if parts:
        images(tmp_path / "test", n=1)
    data = load("folder:group=folder,size=6", tmp_path)
    assert data.groups == ("9", "10", "north", "south")
    assert [data.groups[g] for g in data.train.group.tolist()] == [
        CLINICS[r] for r in data.train.x[:, 0, 0, 0].tolist()
    ]


def test_images_in_files_have_groups_too(tmp_path):
    images(tmp_path / "train", n=2)
    images(tmp_path / "val", n=1)
    data = load("imagenet:group=folder,size=8,workers=0", tmp_path)
    assert data.groups == ("9", "10", "north", "south")
    found = [data.train.x.files.path(i).parent.name for i in range(len(data.train))]
    assert [data.groups[g] for g in data.train.group.tolist()] == found


def test_a_file_says_the_group_of_images(tmp_path):
    images(tmp_path / "images")
    rows = [(p.relative_to(tmp_path / "images").as_posix(), f"g{p.stem}") for p in (tmp_path / "images").rglob("*.png")]
    write_table(tmp_path / "owners.csv", rows, ("path", "group"))
    data = load(f"folder:group={tmp_path / 'owners.csv'},size=6", tmp_path / "images")
    assert data.groups == ("g0", "g1", "g2")
    assert data.train.group.tolist() == data.train.x[:, 2, 0, 0].tolist()
    write_table(tmp_path / "owners.csv", rows[1:], ("path", "group"))
    with pytest.raises(ValueError, match=f"does not tell the group of {rows[0][0]}: add a line"):
        load(f"folder:group={tmp_path / 'owners.csv'},size=6", tmp_path / "images")
    write_table(tmp_path / "owners.csv", rows, ("path", "owner"))
    with pytest.raises(ValueError, match="no column of .* is called 'group'"):
        load(f"folder:group={tmp_path / 'owners.csv'},size=6", tmp_path / "images")


def test_images_without_a_group_are_said(tmp_path):
    images(tmp_path)
    Image.new("RGB", (6, 6)).save(tmp_path / "ill" / "loose.png")
    with pytest.raises(ValueError, match="loose.png is in no folder below its class: move it into one"):
        load("folder:group=folder", tmp_path)
    with pytest.raises(FileNotFoundError, match="group=nowhere.csv: give folder, or a CSV file"):
        load("folder:group=nowhere.csv", tmp_path)


def test_each_peer_learns_from_its_group(tmp_path):
    images(tmp_path)
    run = Run(data="folder:group=folder,size=6", data_root=str(tmp_path), shards="groups", method="alone", batch=2)
    run = run.replace(peers=4, models=("mlp:hidden=4",), execute="loop")
    fleet = build_fleet([run])
    for peer, loader in enumerate(fleet.streams.loaders):
        assert {CLINICS[r] for r in loader.examples.x[:, 0, 0, 0].tolist()} == {fleet.dataset.groups[peer]}
    with pytest.raises(ValueError, match=r"4 groups \(9, 10, north, south\) for 3 peers: set peers to 4"):
        build_fleet([run.replace(peers=3)])
    two = build_fleet([run.replace(peers=2, shards="groups:south/9")])
    assert [{CLINICS[r] for r in loader.examples.x[:, 0, 0, 0].tolist()} for loader in two.streams.loaders] == [
        {"south"},
        {"9"},
    ]
