"""``codistill predict``: files in, answers out, what cannot be read named."""

import csv
import json
import shutil

import pytest
import torch

import codistill
from codistill import cli
from codistill.data.conversion import from_dataset
from codistill.deployment.prediction import predict
from codistill.run import Run
from codistill.spec import UnknownName
from codistill.training.loop import train
from codistill.training.records import logged
from open_digits import open_digits
from small_images import save, spoil


def trained(run, folder, **given):
    list(logged(train(run, folder, **given), folder))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A run on image files, whose data are gone, and files to predict."""
    home = tmp_path_factory.mktemp("images")
    for label, name in enumerate(("cat", "dog")):
        for number in range(8):
            save(home / "data" / name / f"{number}.png", seed=10 * label + number)
    run = Run(data="folder:size=8", data_root=str(home / "data"), models=("mlp:hidden=4",), batch=5, epochs=1)
    trained(run, home / "run")
    shutil.rmtree(home / "data")
    for number in range(3):
        save(home / "new" / "inside" / f"{number}.png", seed=50 + number, size=(12 + number, 17))
    (home / "new" / "notes.txt").write_text("no image")
    return home


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A run on texts."""
    pairs = [(f"a good film {i}", 1) for i in range(12)] + [(f"a bad film {i}", 0) for i in range(12)]
    dataset = from_dataset(pairs, pairs, length=6, vocabulary=60, names=("bad", "good"))
    run = Run(models=("bigru:hidden=4,embedding=4",), batch=8, epochs=1)
    return trained(run, tmp_path_factory.mktemp("texts") / "run", dataset=dataset)


def said(capsys, *words, code=0):
    """What `codistill predict` prints on stdout and on stderr."""
    capsys.readouterr()
    if code:
        with pytest.raises(SystemExit) as stop:
            cli.main(["predict", *map(str, words)])
        assert stop.value.code == code
    else:
        cli.main(["predict", *map(str, words)])
    return capsys.readouterr()


def test_images_come_out_as_csv(images, monkeypatch, capsys):
    monkeypatch.chdir(images / "new")
    out, err = said(capsys, "../run", "inside/2.png", ".")
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["file"] for row in rows] == ["inside/2.png", "inside/0.png", "inside/1.png", "inside/2.png"]
    assert "network 0 (mlp:hidden=4) of ../run: the first of 2: nothing was measured on validation data" in err
    net = codistill.load(images / "run")
    with torch.no_grad():
        expected = net.probabilities(net.preprocess([row["file"] for row in rows]))
    for row, p in zip(rows, expected, strict=True):
        assert row["class"] == net.classes[p.argmax()]
        assert float(row["confidence"]) == pytest.approx(float(p.max()), rel=1e-5)


@pytest.mark.parametrize("network", ["ensemble", "1", "mlp"])
def test_any_network_and_all_probabilities(images, capsys, network):
    words = [images / "run", images / "new", "--network", network, "--format", "json", "--probabilities", "--batch", 2]
    rows = list(map(json.loads, said(capsys, *words).out.splitlines()))
    net = codistill.load(images / "run", network)
    with torch.no_grad():
        expected = net.probabilities(net.preprocess([row["file"] for row in rows]))
    assert [list(row["probabilities"].values()) for row in rows] == [
        pytest.approx(p, rel=1e-5) for p in expected.tolist()
    ]
    assert {tuple(row["probabilities"]) for row in rows} == {("cat", "dog")}


def test_what_cannot_be_read_is_named_and_the_rest_predicted(images, tmp_path, capsys):
    bad = spoil(save(tmp_path / "bad.png", seed=1))
    missing, empty = tmp_path / "missing.png", tmp_path / "empty"
    empty.mkdir()
    out, err = said(capsys, images / "run", bad, missing, empty, images / "new", code=1)
    assert len(out.splitlines()) == 4
    for path in (bad, missing, empty):
        (line,) = [line for line in err.splitlines() if str(path) in line]
        assert "skip_bad" not in line
    with pytest.raises(ValueError, match="no such file"):
        list(predict(codistill.load(images / "run"), [missing]))


def test_a_file_is_written_whole_and_never_over_another(images, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    assert not said(capsys, images / "run", images / "new", "--out", out).out
    before = out.read_text()
    assert len(before.splitlines()) == 4
    with pytest.raises(SystemExit, match="already exists: choose another --out, or --overwrite"):
        cli.main(["predict", str(images / "run"), str(images / "new"), "--out", str(out)])
    with pytest.raises(SystemExit, match="no network of this run is called 'nett'"):
        cli.main(["predict", str(images / "run"), "x", "--out", str(out), "--overwrite", "--network", "nett"])
    assert out.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["answers.csv"]
    said(capsys, images / "run", images / "new", "--out", out, "--overwrite", "--format", "json")
    assert json.loads(out.read_text().splitlines()[0])["class"] in ("cat", "dog")


def test_texts_in_lines_and_in_a_column(texts, tmp_path, capsys):
    lines = tmp_path / "new.txt"
    lines.write_text("a good film\n\na bad film\n", encoding="utf-8")
    table = tmp_path / "new.csv"
    table.write_text('id,review\n1,"a good\nfilm"\n2,a bad film\n', encoding="utf-8")
    rows = list(csv.DictReader(said(capsys, texts, lines).out.splitlines()))
    assert [(row["file"], row["line"]) for row in rows] == [(str(lines), "1"), (str(lines), "3")]
    net = codistill.load(texts)
    with torch.no_grad():
        expected = net.probabilities(net.preprocess(["a good film", "a bad film"]))
    assert [float(row["confidence"]) for row in rows] == pytest.approx(expected.amax(1).tolist(), rel=1e-5)
    rows = list(csv.DictReader(said(capsys, texts, table, "--column", "review").out.splitlines()))
    assert [(row["line"], row["class"]) for row in rows] == [
        ("3", net.classes[expected[0].argmax()]),
        ("4", net.classes[expected[1].argmax()]),
    ]
    err = said(capsys, texts, table, "--column", "reviews", code=1).err
    assert "no column of" in err
    assert "did you mean 'review'" in err


def test_texts_for_images_and_images_for_texts_are_said_to_be_that(images, texts, tmp_path, capsys):
    notes, image = tmp_path / "notes.txt", save(tmp_path / "new.png")
    notes.write_text("füll " * 2000, encoding="utf-8")  # of which the first bytes end within a letter
    assert (
        f"{notes} is a file of text, and these networks see images" in said(capsys, images / "run", notes, code=1).err
    )
    assert f"{image} is an image, and these networks read texts" in said(capsys, texts, image, code=1).err
    (tmp_path / "raw.bin").write_bytes(b"\xff\x00")
    assert "is no text in UTF-8" in said(capsys, texts, tmp_path / "raw.bin", code=1).err
    assert "cannot be read" in said(capsys, images / "run", tmp_path / "raw.bin", code=1).err


def test_embeddings(tmp_path, capsys):
    run = Run(data="open_digits:open_digits", models=("mlp:hidden=4",), epochs=1, batch=32)
    folder = trained(run, tmp_path / "run", dataset=open_digits())
    image = save(tmp_path / "new.png")
    (line,) = said(capsys, folder, image, "--format", "json").out.splitlines()
    net = codistill.load(folder)
    with torch.no_grad():
        assert json.loads(line)["embedding"] == pytest.approx(net(net.preprocess(image))[0].tolist(), rel=1e-5)
    assert said(capsys, folder, image).out.startswith("file,embedding0,embedding1,")


def test_a_misspelt_row_is_told(images):
    with pytest.raises(UnknownName, match="network of this run"):
        codistill.load(images / "run", "cnn")
    with pytest.raises(SystemExit, match="FILES is empty"):
        cli.main(["predict", str(images / "run")])
