import gzip

import pytest
import torch

from codistill.data.text.tokenizer import train_tokenizer
from codistill.data.text.vectors import read_vectors

pytest.importorskip("tokenizers", reason="text needs the tokenizers library")

LINES = {"film": [0.5, -1.0], "good": [1.5, 2.0], "elsewhere": [9.0, 9.0], ",": [0.25, 0.5]}


@pytest.fixture
def tokenizer():
    return train_tokenizer(["good film, bad filming"] * 3, model="words", min_count=1)


def written(path, lines, head=""):
    text = head + "".join(" ".join([word, *map(str, vector)]) + "\n" for word, vector in lines.items())
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["glove.txt", "glove.txt.gz"])
@pytest.mark.parametrize("head", ["", "4 2\n"])
def test_a_token_has_the_vector_of_its_word(tmp_path, tokenizer, name, head):
    table, found = read_vectors(written(tmp_path / name, LINES, head), tokenizer)
    assert found == 3
    assert table.shape == (len(tokenizer.get_vocab()), 2)
    for token, number in tokenizer.get_vocab().items():
        expected = torch.tensor(LINES.get(token, [torch.nan] * 2))
        torch.testing.assert_close(table[number], expected, equal_nan=True)


def test_only_whole_words_of_bpe_have_one(tmp_path):
    tokenizer = train_tokenizer(["good film, xfilm yfilm zgood"] * 5, min_count=2, vocabulary=60)
    vocabulary = tokenizer.get_vocab()
    assert {"▁film", "film", ",", "▁good"} <= set(vocabulary)
    table, found = read_vectors(written(tmp_path / "v.txt", LINES), tokenizer)
    assert found == 3
    assert table[vocabulary["▁film"]].tolist() == LINES["film"]
    assert table[vocabulary[","]].tolist() == LINES[","]
    assert table[vocabulary["film"]].isnan().all()


def test_a_word_may_hold_spaces_and_the_first_of_two_counts(tmp_path, tokenizer):
    path = tmp_path / "v.txt"
    path.write_text("film 1 2\n. . . 3 4\nfilm 5 6\ngood 7 8 \n")
    table, found = read_vectors(path, tokenizer)
    assert found == 2
    assert table[tokenizer.token_to_id("film")].tolist() == [1, 2]
    assert table[tokenizer.token_to_id("good")].tolist() == [7, 8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("film 1 2\ngood 1\n", r"v\.txt, line 2: 2 fields, not a word and 2 numbers"),
        ("film 1 2\ngood 1 x\n", r"v\.txt, line 2: .*'x'.*give a word and 2 numbers"),
        ("kino 1 2\n", "none of its words is a token"),
        ("", "none of its words is a token"),
        ("film\n", r"line 1: 1 fields, not a word and 1 numbers"),
    ],
)
def test_a_file_that_is_none_of_word_vectors_is_named(tmp_path, tokenizer, text, said):
    path = tmp_path / "v.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_vectors(path, tokenizer)


def test_a_damaged_or_missing_file_is_named(tmp_path, tokenizer):
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(b"film 1 2\n" * 1000)[:-9])
    with pytest.raises(ValueError, match=r"v\.gz: damaged"):
        read_vectors(path, tokenizer)
    with pytest.raises(FileNotFoundError, match="No such file.*none.txt"):
        read_vectors(tmp_path / "none.txt", tokenizer)
