import hashlib
import inspect
import json
import subprocess
import sys
import textwrap
import unicodedata

import pytest
import torch

from codistill.data.text.tokenizer import MODELS, encode, fit_length, read_tokenizer, size, train_tokenizer

tokenizers = pytest.importorskip("tokenizers", reason="text needs the tokenizers library")

KOREAN = ["이 영화 정말 재미있어요!!", "정말 지루한 영화... 돈이 아깝다", "재미있는 영화 ㅋㅋㅋ 추천해요"] * 4
ENGLISH = ["A film that I liked.", "I didn't like the film at all", "the film's ending (bad) was bad"] * 4


@pytest.mark.parametrize("model", MODELS)
def test_padding_is_0_unknown_is_1_and_rows_are_of_the_length(model):
    tokenizer = train_tokenizer(ENGLISH, model=model, min_count=1, vocabulary=200)
    fit_length(tokenizer, 5)
    ids = encode(tokenizer, ["the film", "the film was bad the film was bad"])
    assert ids.dtype == torch.int64
    assert ids.shape == (2, 5)
    assert ids[0].tolist() == [tokenizer.token_to_id(t) for t in tokenizer.encode("the film").tokens]
    assert ids[0].tolist()[2:] == [0, 0, 0]
    assert (ids[1] > 1).all()
    assert [tokenizer.id_to_token(i) for i in (0, 1)] == ["[PAD]", "[UNK]"]


def test_the_same_texts_give_the_same_tokenizer_in_another_process():
    def hashes():
        made = [train_tokenizer(KOREAN + ENGLISH, model=model, vocabulary=90).to_str() for model in MODELS]
        return [hashlib.md5(text.encode()).hexdigest() for text in made]

    code = "import hashlib\nfrom codistill.data.text.tokenizer import MODELS, train_tokenizer\n"
    code += f"KOREAN, ENGLISH = {KOREAN!r}, {ENGLISH!r}\n"
    code += textwrap.dedent(inspect.getsource(hashes)) + "\nprint(hashes())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert all(hashes() == hashes() for _ in range(5))
    assert other.stdout.strip() == str(hashes())


@pytest.mark.parametrize("text", [*KOREAN[:3], *ENGLISH[:3], "봤습니다, 꿰뚫었던 뷁"])
def test_bpe_decodes_to_the_text_again(text):
    tokenizer = train_tokenizer([*KOREAN, *ENGLISH, text], model="bpe", min_count=1, vocabulary=400)
    assert tokenizer.decode(tokenizer.encode(text).ids) == text.lower()


def test_hangul_is_one_thing_however_it_is_typed():
    tokenizer = train_tokenizer(KOREAN, vocabulary=300, min_count=1)
    apart = unicodedata.normalize("NFD", "영화")
    assert apart != "영화"
    assert tokenizer.encode(apart).ids == tokenizer.encode("영화").ids
    assert 1 not in tokenizer.encode(apart).ids


def test_spaces_of_any_kind_are_one():
    tokenizer = train_tokenizer(ENGLISH, min_count=1)
    assert tokenizer.encode("  the\n\tfilm ").ids == tokenizer.encode("the film").ids


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("vocabulary", [8, 20, 40])
def test_the_vocabulary_is_never_larger_than_asked_for(model, vocabulary):
    tokenizer = train_tokenizer(KOREAN + ENGLISH, model=model, vocabulary=vocabulary, min_count=1)
    assert size(tokenizer) <= vocabulary
    assert sorted(tokenizer.get_vocab().values()) == list(range(size(tokenizer)))


def test_words_are_counted_as_one_would_by_hand():
    tokenizer = train_tokenizer(["a b b c", "b c Ｄ", "a, x"], model="words", min_count=2, vocabulary=8)
    assert set(tokenizer.get_vocab()) == {"[PAD]", "[UNK]", "a", "b", "c"}


def test_capitals_stay_where_they_are_wanted():
    assert "▁A" in train_tokenizer(["A A A"], lowercase=False, min_count=1).get_vocab()
    assert "▁A" not in train_tokenizer(["A A A"], min_count=1).get_vocab()


@pytest.mark.parametrize("model", MODELS)
def test_what_looks_like_a_special_token_is_text(model):
    tokenizer = train_tokenizer(ENGLISH, model=model, min_count=1)
    fit_length(tokenizer, 30)
    assert (encode(tokenizer, ["[PAD] the film [PAD] the film"])[0] > 0).sum() > 4


def test_a_text_without_a_token_is_a_single_unknown_one():
    tokenizer = train_tokenizer(ENGLISH)
    fit_length(tokenizer, 3)
    assert encode(tokenizer, ["", " \n", "the"]).tolist()[:2] == [[1, 0, 0]] * 2


def test_a_text_without_a_token_and_no_unknown_one_is_named(tmp_path):
    model = tokenizers.models.BPE({"[PAD]": 0, "a": 1}, [])
    tokenizer = tokenizers.Tokenizer(model)
    fit_length(tokenizer, 3)
    with pytest.raises(ValueError, match="text 1 has no token.*leave it out"):
        encode(tokenizer, ["a", ""])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "bp"}, "no model of a tokenizer is called 'bp': did you mean 'bpe'"),
        ({"vocabulary": 3}, "vocabulary=3: give a whole number of at least 8"),
        ({"min_count": 0}, "min_count=0: give a whole number of at least 1"),
        ({"vocabulary": 2.5}, "vocabulary=2.5"),
    ],
)
def test_a_setting_out_of_range_is_named(options, said):
    with pytest.raises(ValueError, match=said):
        train_tokenizer(ENGLISH, **options)


def test_texts_without_a_character_are_refused():
    with pytest.raises(ValueError, match="not one character in 2 texts"):
        train_tokenizer(["", "  "])


@pytest.mark.parametrize("folder", [True, False])
def test_a_tokenizer_is_read_from_its_file_or_folder(tmp_path, folder):
    made = train_tokenizer(ENGLISH, model="wordpiece", min_count=1)
    made.save(str(tmp_path / "tokenizer.json"))
    read = read_tokenizer(tmp_path if folder else tmp_path / "tokenizer.json")
    assert read.encode("the film's").ids == made.encode("the film's").ids


def saved(tmp_path, vocabulary, config=None):
    model = tokenizers.models.WordLevel(vocabulary, unk_token=next(iter(vocabulary)))
    tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    if config is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


def test_a_tokenizer_that_pads_with_another_id_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"tokenizer\.json: pads with '<pad>' of id 1.*train one"):
        read_tokenizer(saved(tmp_path, {"<s>": 0, "<pad>": 1}))


@pytest.mark.parametrize("said", ["nought", {"content": "nought"}])
def test_the_padding_that_is_said_beside_a_tokenizer_counts(tmp_path, said):
    read_tokenizer(saved(tmp_path, {"nought": 0, "<pad>": 1}, {"pad_token": said}))


def test_a_tokenizer_without_padding_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no token for padding.*train one"):
        read_tokenizer(saved(tmp_path, {"a": 0, "b": 1}))


def test_a_tokenizer_that_is_not_there_or_damaged_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer=.*wordpeice.*bpe, wordpiece, words"):
        read_tokenizer(tmp_path / "wordpeice")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer\.json: not a file of the tokenizers library.*save it again"):
        read_tokenizer(tmp_path)


def test_a_length_that_leaves_no_room_is_refused():
    tokenizer = train_tokenizer(ENGLISH)
    special = [("[CLS]", 5), ("[SEP]", 6)]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $0 [SEP]", None, special)
    with pytest.raises(ValueError, match="length=2: the tokenizer adds 2 tokens"):
        fit_length(tokenizer, 2)
    fit_length(tokenizer, 3)
    row = encode(tokenizer, ["the film"])[0]
    assert row[[0, 2]].tolist() == [5, 6]


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"pip install 'codistill\[text\]'"):
        train_tokenizer(ENGLISH)
