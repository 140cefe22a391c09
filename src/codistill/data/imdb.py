"""The large movie review data set, from its original folders."""

import os
from pathlib import Path

from codistill.checks import flag
from codistill.data.download import check_free, extract, fetch, located
from codistill.data.examples import DataSet
from codistill.data.skipping import left_out
from codistill.data.text.token_ids import TextOptions, Texts, takes_text_options, text_data

__all__ = ["imdb"]

URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
NAMES = ("neg", "pos")  # folders, in the order of the labels
NEEDED = [f"{part}/{name}" for part in ("train", "test") for name in NAMES]


@takes_text_options(vocabulary=25_000, length=400, outputs=2)
def imdb(
    root: Path, texts: TextOptions, *, download: bool = False, unsup: bool = False, skip_bad: bool = False
) -> DataSet:
    """50,000 English film reviews, negative or positive; 25,000 for training.

    Reads the original folders {train,test}/{neg,pos} from ``root/aclImdb`` or ``root``. Line breaks of HTML are
    read as spaces. Four of five reviews fit into 400 tokens; 25,000 is the sentiment study's vocabulary.
    Source: Maas et al., ACL 2011. We differ: pieces of words are learned from the text in place of spaCy's words.
    A download is verified by the MD5 under which the archive is widely known; the authors publish none.

    Args:
        root: The folder.
        texts: See `codistill.data.text.token_ids.TextOptions`.
        download: Fetch the archive, 80 MB, and unpack it where the folders do not exist.
        unsup: Take the reviews of train/unsup as unlabelled ones (50,000 in the original).
        skip_bad: Leave out reviews that cannot be read, with a warning that counts them, in place of an error.

    Raises:
        FileNotFoundError: the folders do not exist and ``download`` is off.
        ValueError: an option out of range, a review that cannot be read or is not UTF-8, or a damaged archive; names
            the file and the line.
    """
    flag("imdb: unsup", unsup), flag("imdb: skip_bad", skip_bad)
    homes = [root / "aclImdb", root]

    def download_all() -> None:
        check_free(homes[0])
        extract(fetch(URL, root / "aclImdb_v1.tar.gz", md5=MD5), root)

    home = located("imdb", homes, NEEDED, download_all if download else None)
    train, test = (_labelled(home / part, skip_bad) for part in ("train", "test"))
    if unsup:
        more = _texts(home / "train" / "unsup", skip_bad)
        train = Texts([*train.texts, *more], [*train.labels, *(-1 for _ in more)])
    return text_data(train, test, ("negative", "positive"), texts, root)


def _labelled(folder: Path, skip_bad: bool) -> Texts:
    """The reviews of a part, the negative ones first."""
    pairs = [(text, y) for y, name in enumerate(NAMES) for text in _texts(folder / name, skip_bad)]
    return Texts(*zip(*pairs, strict=True))


def _texts(folder: Path, skip_bad: bool) -> list[str]:
    """The reviews of a folder, in the order of their numbers."""
    names = [name for name in os.listdir(folder) if name.endswith(".txt") and name[0] != "."] if folder.is_dir() else []
    if not names:
        raise FileNotFoundError(f"imdb: {folder} holds no reviews (*.txt): unpack the original archive again")
    names.sort(key=lambda name: (len(name.partition("_")[0]), name))
    texts, faults = [], []
    for name in names:
        try:
            texts.append((folder / name).read_text(encoding="utf-8").replace("<br />", " "))
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            faults.append(f"{folder / name}, line {line}: not utf-8")
        except OSError as error:
            faults.append(f"{folder / name}: cannot be read ({error.strerror})")
    fix = "unpack the original archive again"
    left_out("imdb", f"reviews in {folder}", len(names), faults, skip_bad=skip_bad, fix=fix)
    return texts
