"""The large movie review data set, from its original folders."""

import os
from pathlib import Path

from codistill.data.download import extract, fetch, missing
from codistill.data.examples import DataSet
from codistill.data.text import TextForm, Texts, text_data

__all__ = ["imdb"]

URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
NAMES = ("neg", "pos")  # folders, in the order of the labels


def imdb(
    root: Path,
    *,
    download: bool = False,
    vocabulary: int = 25_000,
    length: int = 400,
    tokenizer: str = "bpe",
    vectors: str | None = None,
    lowercase: bool = True,
    min_count: int = 2,
    outputs: int = 2,
    unsup: bool = False,
) -> DataSet:
    """50,000 English film reviews, negative or positive; 25,000 to learn from.

    Reads the original folders {train,test}/{neg,pos} from ``root/aclImdb`` or ``root``. Line breaks of HTML are
    read as spaces. Four of five reviews fit into 400 tokens; 25,000 is the sentiment study's vocabulary.
    Source: Maas et al., ACL 2011. We differ: pieces of words are learned from the text in place of spaCy's words.
    What is downloaded is held against the MD5 under which the archive is widely known; nothing at hand confirms it.

    Args:
        root: The folder.
        download: Fetch the archive, 80 MB, and unpack it where the folders are not there.
        vocabulary: Number of token ids, of a tokenizer that is trained here.
        length: Tokens of each review; what is longer is cut, what is shorter padded with id 0.
        tokenizer: bpe, wordpiece or words, trained on the training part; or the path of a tokenizer.json, or of a
            folder with one.
        vectors: Path of word vectors to start embeddings from, lines of ``word v1 v2 ...``.
        lowercase: Capitals are read as small letters.
        min_count: How often a word or a pair of pieces is seen at least.
        outputs: 2 logits for each review, or 1: then the task is binary.
        unsup: Take the reviews of train/unsup as unlabelled ones (50,000 in the original).

    Raises:
        FileNotFoundError: the folders are not there and ``download`` is off.
        ValueError: an option out of range, a review that is not UTF-8, or an archive that is not what it should be.
    """
    form = TextForm("imdb", vocabulary, length, tokenizer, vectors, lowercase, min_count, outputs)
    if not isinstance(unsup, bool):
        raise ValueError(f"imdb: unsup={unsup!r}: use true or false")
    homes = (root / "aclImdb", root)
    home = next((h for h in homes if _there(h)), None)
    if home is None:
        if not download:
            raise missing("imdb", (h / part / name for h in homes for part in ("train", "test") for name in NAMES))
        extract(fetch(URL, root / "aclImdb_v1.tar.gz", md5=MD5), root)
        home = homes[0]
    train, test = _labelled(home / "train"), _labelled(home / "test")
    if unsup:
        more = _texts(home / "train" / "unsup")
        train = Texts([*train.texts, *more], [*train.labels, *(-1 for _ in more)])
    return text_data(train, test, ("negative", "positive"), form, root)


def _there(home: Path) -> bool:
    return all((home / part / name).is_dir() for part in ("train", "test") for name in NAMES)


def _labelled(folder: Path) -> Texts:
    parts = [_texts(folder / name) for name in NAMES]
    return Texts([text for part in parts for text in part], [y for y, part in enumerate(parts) for _ in part])


def _texts(folder: Path) -> list[str]:
    """The reviews of a folder, in the order of their numbers."""
    if not folder.is_dir():
        raise FileNotFoundError(f"imdb: {folder} is no folder: unpack the original archive, or leave its option out")
    names = [name for name in os.listdir(folder) if name.endswith(".txt") and not name.startswith(".")]
    if not names:
        raise FileNotFoundError(f"imdb: {folder} holds no reviews (*.txt): unpack the original archive again")
    return [_review(folder / name) for name in sorted(names, key=lambda name: (len(name.partition("_")[0]), name))]


def _review(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").replace("<br />", " ")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}): unpack the original archive again") from error
