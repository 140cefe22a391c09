"""The large movie review data set, from its original folders."""

import os
from pathlib import Path

from codistill.checks import flag
from codistill.data.class_folders import left_out
from codistill.data.download import check_free, extract, fetch, missing
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
    skip_bad: bool = False,
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
        skip_bad: Leave out reviews that cannot be read, with a warning that counts them, in place of an error.

    Raises:
        FileNotFoundError: the folders are not there and ``download`` is off.
        ValueError: an option out of range, a review that cannot be read or is not UTF-8, or an archive that is not what
            it should be; names the file and the line.
    """
    form = TextForm("imdb", vocabulary, length, tokenizer, vectors, lowercase, min_count, outputs)
    flag("imdb: unsup", unsup)
    flag("imdb: skip_bad", skip_bad)
    homes = (root / "aclImdb", root)
    home = next((h for h in homes if _there(h)), None)
    if home is None:
        if not download:
            raise missing("imdb", (h / part / name for h in homes for part in ("train", "test") for name in NAMES))
        check_free(homes[0])
        extract(fetch(URL, root / "aclImdb_v1.tar.gz", md5=MD5), root)
        home = homes[0]
    bad: list[str] | None = [] if skip_bad else None
    train, test = (_labelled(home / part, bad) for part in ("train", "test"))
    if unsup:
        more = _texts(home / "train" / "unsup", bad)
        train = Texts([*train.texts, *more], [*train.labels, *(-1 for _ in more)])
    if bad:
        left_out("imdb", f"of {len(train.texts) + len(test.texts) + len(bad)} reviews cannot be read", bad)
    return text_data(train, test, ("negative", "positive"), form, root)


def _there(home: Path) -> bool:
    """Whether a folder holds those of the reviews."""
    return all((home / part / name).is_dir() for part in ("train", "test") for name in NAMES)


def _labelled(folder: Path, bad: list[str] | None = None) -> Texts:
    """The reviews of a part, first those that blame."""
    parts = [_texts(folder / name, bad) for name in NAMES]
    return Texts([text for part in parts for text in part], [y for y, part in enumerate(parts) for _ in part])


def _texts(folder: Path, bad: list[str] | None) -> list[str]:
    """The reviews of a folder, in the order of their numbers."""
    if not folder.is_dir():
        raise FileNotFoundError(f"imdb: {folder} is no folder: unpack the original archive, or leave its option out")
    names = [name for name in os.listdir(folder) if name.endswith(".txt") and not name.startswith(".")]
    if not names:
        raise FileNotFoundError(f"imdb: {folder} holds no reviews (*.txt): unpack the original archive again")
    names.sort(key=lambda name: (len(name.partition("_")[0]), name))
    texts = [text for name in names if (text := _review(folder / name, bad)) is not None]
    if not texts:
        raise ValueError(f"imdb: {folder}: not one of {len(names)} reviews can be read: unpack the archive again")
    return texts


def _review(path: Path, bad: list[str] | None) -> str | None:
    """A review; where it cannot be read, an error, or None and a word on it in `bad`."""
    try:
        return path.read_text(encoding="utf-8").replace("<br />", " ")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        wrong = f"{path}, line {line}: not utf-8"
        cause: Exception = error
    except OSError as error:
        wrong, cause = f"{path}: cannot be read ({error.strerror})", error
    if bad is None:
        raise ValueError(f"{wrong}; unpack the original archive again, or set skip_bad=true") from cause
    bad.append(wrong)
    return None
