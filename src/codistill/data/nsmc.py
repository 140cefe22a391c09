"""The Naver sentiment movie corpus, from its two original files."""

from pathlib import Path

from codistill.checks import flag
from codistill.data.download import fetch, located
from codistill.data.examples import DataSet
from codistill.data.text.rows import Columns, Row, usable
from codistill.data.text.token_ids import TextOptions, Texts, takes_text_options, text_data

__all__ = ["nsmc"]

URL = "https://raw.githubusercontent.com/e9t/nsmc/master/"
FILES = {  # with their SHA-256
    "ratings_train.txt": "e03b7d14e9e41be8d464a28057cd25d7396c53e67aa7fd5f7e552c59b0ee2940",
    "ratings_test.txt": "8ac9f64052f11dbf6ae0acb5e038f03d90a76f0eda7820cfb3a92d02edfcebda",
}
COLUMNS = Columns("document", "label", name="nsmc")  # inner quotes are doubled, as pandas writes


@takes_text_options(length=20, min_count=5, outputs=2)
def nsmc(root: Path, texts: TextOptions, *, download: bool = False, skip_bad: bool = False) -> DataSet:
    """200,000 Korean film reviews, negative or positive; 150,000 for training.

    Reads the original tab-separated files from ``root/nsmc`` or ``root``. Eight reviews are empty and are kept, as
    a single unknown token. 1,571 test reviews have the very text of some training review. Vocabulary, smallest
    count and length are those of the sentiment study (BM-K). We differ: pieces of words are learned
    from the text in place of the parts of speech that Mecab finds. Source: github.com/e9t/nsmc, CC0.

    Args:
        root: The folder.
        texts: See `codistill.data.text.token_ids.TextOptions`.
        download: Fetch what does not exist.
        skip_bad: Leave out lines that hold no review, with a warning that counts them, in place of an error.

    Raises:
        FileNotFoundError: the files do not exist and ``download`` is off.
        ValueError: an option out of range, or a damaged file; names it and the line.
    """
    flag("nsmc: skip_bad", skip_bad)
    homes = [root / "nsmc", root]

    def download_all() -> None:
        for name, sha256 in FILES.items():
            fetch(URL + name, homes[0] / name, sha256=sha256)

    home = located("nsmc", homes, list(FILES), download_all if download else None)
    train, test = (_read(home / name, skip_bad) for name in FILES)
    return text_data(train, test, ("negative", "positive"), texts, root)


def _read(path: Path, skip_bad: bool) -> Texts:
    """Reviews and labels of one file; a ValueError names the line that is not an id, a text and 0 or 1."""
    rows = usable(path, [row if row.fault else _checked(row) for row in COLUMNS.rows(path)], skip_bad, "fetch it again")
    return Texts([row.text for row in rows], [int(row.label) for row in rows])


def _checked(row: Row) -> Row:
    if row.label not in ("0", "1"):
        return Row(row.lines, fault=f"label {row.label!r}: give 0 or 1")
    return Row(row.lines, fault="a quote that does not end on its line") if "\n" in row.text else row
