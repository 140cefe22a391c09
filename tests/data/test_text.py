import json
import subprocess
import sys

import pytest
import torch

from codistill.data import DataSet
from codistill.data.augmentations import build_augment
from codistill.data.split import hold_out, split
from codistill.data.text.token_ids import TextOptions, Texts, text_data

tokenizers = pytest.importorskip("tokenizers", reason="text needs the tokenizers library")

TRAIN = Texts(
    [f"good film number {i}" if i % 2 else f"bad film number {i}" for i in range(40)], [i % 2 for i in range(40)]
)
TEST = Texts(["good", "bad", "unseen words"], [1, 0, 1])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    monkeypatch.setenv("CODISTILL_CACHE", str(folder))
    return folder


def form(**changes):
    settings = {
        "name": "tiny",
        "vocabulary": 60,
        "length": 6,
        "tokenizer": "words",
        "vectors": None,
        "lowercase": True,
        "min_count": 1,
        "outputs": None,
    }
    return TextOptions(**{**settings, **changes})


def made(root, train=TRAIN, test=TEST, **changes):
    return text_data(train, test, ("negative", "positive"), form(**changes), root)


def test_ids_are_those_of_the_tokenizer_that_comes_with_them(tmp_path):
    data = made(tmp_path)
    assert isinstance(data, DataSet)
    tokenizer = tokenizers.Tokenizer.from_str(data.text.tokenizer)
    assert data.text.vocabulary == len(tokenizer.get_vocab())
    assert data.train.x.tolist() == [tokenizer.encode(text).ids for text in TRAIN.texts]
    assert data.test.x.shape == (3, 6)
    assert data.train.y.tolist() == TRAIN.labels


def test_the_tokenizer_has_seen_the_training_part_only(tmp_path):
    assert made(tmp_path).test.x[2].tolist() == [1, 1, 0, 0, 0, 0]


def test_models_get_the_vocabulary(tmp_path):
    data = made(tmp_path)
    assert data.known == {"vocabulary": data.text.vocabulary, "vectors": None}


def test_a_second_start_trains_nothing(tmp_path, cache, monkeypatch, capsys):
    first = made(tmp_path)
    assert "tiny: a tokenizer (words) is trained on 40 texts" in capsys.readouterr().err
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(
        "codistill.data.text.token_ids.train_tokenizer", lambda *args, **options: pytest.fail("trained again")
    )
    second = made(tmp_path)
    assert capsys.readouterr().err == ""
    assert torch.equal(first.train.x, second.train.x)
    assert torch.equal(first.test.x, second.test.x)
    assert first.text == second.text


@pytest.mark.parametrize("changes", [{"length": 5}, {"tokenizer": "bpe"}, {"min_count": 2}, {"lowercase": False}])
def test_other_settings_are_not_taken_for_these(tmp_path, capsys, changes):
    made(tmp_path)
    capsys.readouterr()
    made(tmp_path, **changes)
    assert "is trained" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["train", "test"])
def test_other_texts_are_not_taken_for_these(tmp_path, part):
    made(tmp_path)
    texts = {"train": TRAIN, "test": TEST}
    texts[part] = Texts(["film good", *texts[part].texts[1:]], texts[part].labels)
    for data in (made(tmp_path, **texts), made(tmp_path, **texts)):
        tokenizer = tokenizers.Tokenizer.from_str(data.text.tokenizer)
        assert getattr(data, part).x[0].tolist() == tokenizer.encode("film good").ids


def test_where_one_text_ends_is_part_of_what_they_are(tmp_path):
    labels = [0, 1]
    a = made(tmp_path, Texts(["ab", "c"], labels), Texts(["x", "y"], labels))
    b = made(tmp_path, Texts(["a", "bc"], labels), Texts(["x", "y"], labels))
    assert set(json.loads(a.text.tokenizer)["model"]["vocab"]) != set(json.loads(b.text.tokenizer)["model"]["vocab"])


def test_a_damaged_file_is_made_again(tmp_path, cache):
    first = made(tmp_path)
    [path] = cache.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(made(tmp_path).train.x, first.train.x)


def test_two_processes_at_once_both_get_it(tmp_path, cache):
    (tmp_path / "train.csv").write_text(
        "text,label\n" + "".join(f"{text},{y}\n" for text, y in zip(TRAIN.texts, TRAIN.labels, strict=True))
    )
    code = (
        "from pathlib import Path; from codistill.data import load; import hashlib\n"
        f"x = load('table:tokenizer=words', Path({str(tmp_path)!r})).train.x; print(x.sum().item(), list(x.shape))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in "ab"
    ]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert [path.suffix for path in cache.iterdir()] == [".safetensors"]


def test_word_vectors_come_with_the_text(tmp_path, capsys):
    path = tmp_path / "v.txt"
    path.write_text("good 1 2\nfilm 3 4\n")
    for _ in "ab":
        data = made(tmp_path, vectors=str(path))
        vocabulary = json.loads(data.text.tokenizer)["model"]["vocab"]
        assert data.text.vectors.shape == (data.text.vocabulary, 2)
        assert data.text.vectors[vocabulary["film"]].tolist() == [3, 4]
        assert int(data.text.vectors.isnan().all(1).sum()) == data.text.vocabulary - 2
    assert f"2 of {data.text.vocabulary} tokens have a vector in {path}" in capsys.readouterr().err
    path.write_text("good 1 2\nfilm 5 6\nnumber 7 8\n")
    assert made(tmp_path, vectors=str(path)).text.vectors[vocabulary["film"]].tolist() == [5, 6]


def test_vectors_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tiny: vectors=.*nowhere: no such file"):
        made(tmp_path, vectors=str(tmp_path / "nowhere"))


def test_a_tokenizer_of_your_own_is_taken(tmp_path):
    first = made(tmp_path, tokenizer="wordpiece")
    (tmp_path / "tokenizer.json").write_text(first.text.tokenizer)
    again = made(tmp_path, tokenizer=str(tmp_path), length=3)
    assert torch.equal(again.train.x, first.train.x[:, :3])
    with pytest.raises(FileNotFoundError, match="tokenizer=wordpeice"):
        made(tmp_path, tokenizer="wordpeice")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocabulary": 7}, "tiny: vocabulary=7: give a whole number of at least 8"),
        ({"length": True}, "tiny: length=True"),
        ({"min_count": "a"}, "tiny: min_count='a'"),
        ({"lowercase": 1}, "tiny: lowercase=1: use true or false"),
        ({"tokenizer": 3}, "tiny: tokenizer=3: give bpe, wordpiece, words or a path"),
        ({"vectors": 3}, "tiny: vectors=3: give the path of a file"),
        ({"outputs": 3}, "tiny: outputs=3 for 2 classes: give 2, or 1"),
    ],
)
def test_an_option_out_of_range_is_named(tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        made(tmp_path, **changes)


def test_one_output_is_for_two_classes_only():
    assert form(outputs=1).task(2) == (1, "binary")
    assert form(outputs=None).task(3) == (3, "classes")
    with pytest.raises(ValueError, match="outputs=1 for 3 classes: give 3"):
        form(outputs=1).task(3)


def test_few_labels_validation_and_the_unlabelled_rest(tmp_path):
    data = made(tmp_path)
    parts = split(data, 3, labels=6, valid=10)
    assert parts.train.y.bincount().tolist() == [3, 3]
    assert parts.valid.y.bincount().tolist() == [5, 5]
    assert parts.unlabelled.y.unique().tolist() == [-1]
    rows = torch.cat([parts.train.x, parts.valid.x, parts.unlabelled.x]).tolist()
    assert sorted(rows) == sorted(data.train.x.tolist())


@pytest.mark.parametrize("name", ["crop", "flip"])
def test_augmentations_of_images_refuse_text(tmp_path, name):
    with pytest.raises(ValueError, match=rf"{name}.*\[B, C, H, W\]"):
        build_augment([name])(made(tmp_path).train.x, torch.Generator())


def test_what_is_held_out_is_of_every_class_and_labelled_and_the_same_for_every_seed():
    y = torch.tensor([0] * 30 + [1] * 20 + [2] * 5 + [-1] * 3)
    train, test = hold_out("x", y, ("a", "b", "c"), 0.2)
    assert sorted(train.tolist() + test.tolist()) == list(range(58))
    assert y[test].bincount().tolist() == [6, 4, 1]
    assert torch.equal(hold_out("x", y, ("a", "b", "c"), 0.2)[1], test)


@pytest.mark.parametrize(
    ("y", "fraction", "said"),
    [
        ([0, 1] * 5, 2, "x: test=2: give a fraction between 0 and 1"),
        ([0, 1] * 5, 1.0, "x: test=1.0: give a fraction"),
        ([0, 0, 0, 1], 0.5, "x: test=0.5 leaves no example of class 'b' to train on"),
        ([0], 0.5, "x: 1 examples of 2 classes: add some"),
    ],
)
def test_what_cannot_be_held_out_is_said(y, fraction, said):
    with pytest.raises(ValueError, match=said):
        hold_out("x", torch.tensor(y), ("a", "b"), fraction)


def test_nothing_of_text_is_imported_before_it_is_needed():
    code = "import sys, codistill.data.nsmc, codistill.data.hf, codistill.data.table; "
    code += "print(sorted({'tokenizers', 'datasets', 'pyarrow', 'pandas', 'PIL'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert out.stdout.strip() == "[]"
