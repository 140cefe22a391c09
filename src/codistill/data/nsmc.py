"""The Naver sentiment movie corpus, from its two original files."""

from collections.abc import Iterator
from pathlib import Path

from codistill.checks import flag
from codistill.data.download import fetch, missing
from codistill.data.examples import DataSet
from codistill.data.rows import Row, usable
from codistill.data.separated import Fields, Separated, shortened, undecoded
from codistill.data.text import TextForm, Texts, text_data

__all__ = ["nsmc"]

URL = "https://raw.githubusercontent.com/e9t/nsmc/master/"
FILES = {  # with their SHA-256
    "ratings_train.txt": "e03b7d14e9e41be8d464a28057cd25d7396c53e67aa7fd5f7e552c59b0ee2940",
    "ratings_test.txt": "8ac9f64052f11dbf6ae0acb5e038f03d90a76f0eda7820cfb3a92d02edfcebda",
}
HEAD = ["id", "document", "label"]
AGAIN = "fetch it again"
WRITTEN = Separated("\t", one_line=True, repair=f"it is {{}}: {AGAIN}, or save it as utf-8")


def nsmc(
    root: Path,
    *,
    download: bool = False,
    vocabulary: int = 15_000,
    length: int = 20,
    tokenizer: str = "bpe",
    vectors: str | None = None,
    lowercase: bool = True,
    min_count: int = 5,
    outputs: int = 2,
    skip_bad: bool = False,
) -> DataSet:
    """200,000 Korean film reviews, negative or positive; 150,000 to learn from.

    Reads the original tab-separated files from ``root/nsmc`` or ``root``. Eight reviews are empty and are kept, as
    a single unknown token. 1,571 test reviews have the very text of some training review. Vocabulary, smallest
    count and length are those of the sentiment study (BM-K). We differ: pieces of words are learned
    from the text in place of the parts of speech that Mecab finds. Source: github.com/e9t/nsmc, CC0.

    Args:
        root: The folder.
        download: Fetch what is not there.
        vocabulary: Number of token ids, of a tokenizer that is trained here.
        length: Tokens of each review; what is longer is cut, what is shorter padded with id 0.
        tokenizer: bpe, wordpiece or words, trained on the training part; or the path of a tokenizer.json, or of a
            folder with one.
        vectors: Path of word vectors to start embeddings from, lines of ``word v1 v2 ...``.
        lowercase: Capitals are read as small letters.
        min_count: How often a word or a pair of pieces is seen at least.
        outputs: 2 logits for each review, or 1: then the task is binary.
        skip_bad: Leave out lines that hold no review, with a warning that counts them, in place of an error.

    Raises:
        FileNotFoundError: the files are not there and ``download`` is off.
        ValueError: an option out of range, or a file that is not what it should be; names it and the line.
    """
    form = TextForm("nsmc", vocabulary, length, tokenizer, vectors, lowercase, min_count, outputs)
    flag("nsmc: skip_bad", skip_bad)
    folder = next((f for f in (root / "nsmc", root) if all((f / name).is_file() for name in FILES)), None)
    if folder is None:
        if not download:
            raise missing("nsmc", (f / name for f in (root / "nsmc", root) for name in FILES))
        folder = root / "nsmc"
        for name, sha256 in FILES.items():
            fetch(URL + name, folder / name, sha256=sha256)
    train, test = (read(folder / name, skip_bad) for name in FILES)
    return text_data(train, test, ("negative", "positive"), form, root)


def read(path: Path, skip_bad: bool = False) -> Texts:
    """Reviews and labels of one file, one on each line; an inner quote is doubled, as pandas writes.

    Raises:
        ValueError: it does not have id, document and label, tab-separated and in UTF-8; names the line.
    """
    rows = usable("nsmc", path, list(_rows(path)), skip_bad, AGAIN)
    return Texts([row.text for row in rows], [int(row.label) for row in rows])


def _rows(path: Path) -> Iterator[Row]:
    """The rows below the names of the columns; an error where those are others."""
    found = WRITTEN.rows(path)
    head = next(found, Fields(1, 1))
    if list(head.fields) != HEAD:
        raise ValueError(
            f"{path}, line 1: {head.wrong or shortened(str(list(head.fields)))}, not {HEAD} separated by tabs: {AGAIN}"
        )
    for row in found:
        wrong = _wrong(row)
        yield Row(row.line, wrong=wrong) if wrong else Row(row.line, row.fields[1], row.fields[2])


def _wrong(row: Fields) -> str:
    """Why a row holds no review; empty where it does."""
    if row.wrong:
        return row.wrong
    if undecoded("".join(row.fields)):
        return f"not {WRITTEN.encoding}"
    if len(row.fields) != len(HEAD) or row.fields[2] not in ("0", "1"):
        return f"{shortened(str(row.fields))}: give an id, a text and 0 or 1"
    return ""
