"""Text to token ids, with the `tokenizers` library: a tokenizer trained here, or one from a file."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import category

import torch
from torch import Tensor

from codistill.checks import whole
from codistill.data.disk_cache import stamp
from codistill.libraries import needed, said_by
from codistill.spec import UnknownName

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODELS = ("bpe", "wordpiece", "words")
PAD, UNKNOWN = "[PAD]", "[UNK]"  # ids 0 and 1 of a tokenizer that is trained here
PADDINGS = (PAD, "<pad>", "<PAD>", "<|padding|>")  # what others call it
SPACE = "▁"  # before every word, in the pieces of bpe
GAPS = 10  # ids to each token at most; an embedding has a row for every id
SHOWN = 200  # characters of what the library says
PIECE = 4096  # texts encoded at a time


def library() -> Any:
    """The `tokenizers` library."""
    return needed("tokenizers", "text", "text")


def train_tokenizer(
    texts: Sequence[str], vocabulary: int = 15_000, model: str = "bpe", min_count: int = 2, lowercase: bool = True
) -> "Tokenizer":
    """A tokenizer trained on texts; the same texts and settings give the same one.

    Text is normalised to Unicode's form C first, so that a Hangul syllable is one character however it was typed.
    Words are split at spaces and around punctuation. At most half of the vocabulary is single characters, the
    most frequent ones; any other is ``[UNK]``, id 1. Padding is ``[PAD]``, id 0.

    Args:
        texts: What to train on: the training part only.
        vocabulary: Number of token ids, at most.
        model: ``bpe`` (pieces of words, merged by frequency), ``wordpiece`` (BERT's) or ``words`` (rare are unknown).
        min_count: How often a word, or a pair of pieces, must be seen.
        lowercase: Capitals are read as small letters.

    Raises:
        ValueError: a setting out of range, no such model, or texts without a single character.
        ImportError: `tokenizers` is not installed.
    """
    if model not in MODELS:
        raise UnknownName("model of a tokenizer", model, MODELS)
    whole("vocabulary", vocabulary, 8), whole("min_count", min_count)
    tokenizer = _untrained(model, lowercase)
    cleaning = tokenizer.normalizer
    clean = list(map(cleaning.normalize_str, texts))
    letters = _letters(clean, vocabulary // 2 - 1)  # of wordpiece each twice, inside a word and not
    if not letters:
        raise ValueError(f"not one character in {len(texts)} texts: give some to train on")
    # The library numbers the pieces inside words in an order that differs from run to run, and its merges follow
    # those numbers: so they are numbered beforehand, as special tokens, which they cease to be below.
    numbered = [f"##{letter}" for letter in _inner(clean, letters)] if model == "wordpiece" else []
    tokenizer.normalizer = None  # once is enough
    tokenizer.train_from_iterator(clean, _trainer(model, vocabulary, min_count, letters, numbered))
    tokenizer.normalizer = cleaning
    if model == "wordpiece":
        pieces = library().models.WordPiece(tokenizer.get_vocab(), unk_token=UNKNOWN)
        tokenizer = _untrained(model, lowercase, pieces)
        tokenizer.add_special_tokens([PAD, UNKNOWN])
    return tokenizer


def read_tokenizer(path: Path) -> "Tokenizer":
    """A tokenizer from a ``tokenizer.json``, or from a folder that has one (a Hugging Face model's).

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or it pads with another id than 0, which padding is here; names the file.
        ImportError: `tokenizers` is not installed.
    """
    file, config = _files(path)
    if not file.is_file():
        ways = f"name a tokenizer.json or a folder with one, or train one: {', '.join(MODELS)}"
        raise FileNotFoundError(f"tokenizer={path}: {file} does not exist: {ways}")
    reader = library().Tokenizer
    try:
        tokenizer: Tokenizer = reader.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(
            f"{file}: not a file of the tokenizers library ({said_by(error)[:SHOWN]}): save it again"
        ) from error
    if (name := _padding(tokenizer, config)) is None or (number := tokenizer.token_to_id(name)) != 0:
        has = "has no token for padding" if name is None else f"pads with {name!r} of id {number}"
        ways = "name a tokenizer that pads with 0, or train one (tokenizer=bpe)"
        raise ValueError(f"{file}: {has}, and id 0 is padding here: {ways}")
    if (rows := size(tokenizer)) > GAPS * (count := tokenizer.get_vocab_size()):
        raise ValueError(f"{file}: the largest id is {rows - 1:,} of {count:,} tokens: number them from 0 without gaps")
    return tokenizer


def sources(tokenizer: str) -> tuple[str, ...]:
    """What makes a tokenizer besides its options: the library's version, and the files of one that is read."""
    files = () if tokenizer in MODELS else _files(Path(tokenizer))
    return library().__version__, *map(stamp, files)


def fit_length(tokenizer: "Tokenizer", length: int) -> None:
    """Make a tokenizer cut and pad every text to so many ids; its file stores that.

    Raises:
        ValueError: the tokens that it adds to every text ([CLS] and the like) leave no room.
    """
    added = tokenizer.num_special_tokens_to_add(False)
    if length <= added:
        raise ValueError(f"length={length}: the tokenizer adds {added} tokens to each text: give more")
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=0, pad_token=tokenizer.id_to_token(0) or PAD)


def size(tokenizer: "Tokenizer") -> int:
    """Number of rows that an embedding needs."""
    return max(tokenizer.get_vocab().values()) + 1


def encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> Tensor:
    """Token ids ``[N, length]`` int64, of a tokenizer that has a length (`fit_length`).

    A text without any token is a single unknown one: a row of padding alone has no last step for a recurrent
    net. What looks like a special token in a text is text.

    Raises:
        ValueError: a text has no token and the tokenizer none for unknown; names the text.
    """
    length: int = (tokenizer.truncation or {})["max_length"]
    tokenizer.encode_special_tokens = True
    out = torch.empty(len(texts), length, dtype=torch.int64)
    for start in range(0, len(texts), PIECE):
        rows = tokenizer.encode_batch_fast(list(texts[start : start + PIECE]))
        out[start : start + PIECE] = torch.tensor([row.ids for row in rows])
    empty, stand_in = (out == 0).all(1).nonzero().flatten(), unknown(tokenizer)
    if len(empty) and stand_in is None:
        raise ValueError(f"text {int(empty[0])} has no token and the tokenizer none for unknown: leave it out")
    out[empty, 0] = stand_in or 0
    return out


def decoded(tokenizer: str, ids: Sequence[Sequence[int]]) -> list[str]:
    """Texts of token ids without padding, by a tokenizer's JSON."""
    texts: list[str] = library().Tokenizer.from_str(tokenizer).decode_batch(list(map(list, ids)))
    return texts


def _untrained(model: str, lowercase: bool, pieces: object = None) -> "Tokenizer":
    """How text is cleaned, split and joined again, around an empty model or the one given."""
    lib = library()
    models, pre, decoders = lib.models, lib.pre_tokenizers, lib.decoders
    if model == "bpe":
        tokenizer: Tokenizer = lib.Tokenizer(models.BPE(unk_token=UNKNOWN, fuse_unk=True))
        tokenizer.pre_tokenizer = pre.Sequence([pre.Metaspace(), pre.Punctuation("contiguous")])
        tokenizer.decoder = decoders.Metaspace()
    else:
        empty = models.WordPiece if model == "wordpiece" else models.WordLevel
        tokenizer = lib.Tokenizer(pieces or empty(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece(cleanup=False)
    norm = lib.normalizers
    case = [norm.Lowercase()] if lowercase else []
    tokenizer.normalizer = norm.Sequence([norm.NFC(), *case, norm.Replace(lib.Regex(r"\s+"), " "), norm.Strip()])
    return tokenizer


def _trainer(model: str, vocabulary: int, min_count: int, letters: Sequence[str], numbered: Sequence[str]) -> Any:
    trainers = library().trainers
    limits = {"vocab_size": vocabulary, "min_frequency": min_count, "special_tokens": [PAD, UNKNOWN, *numbered]}
    if model == "words":
        return trainers.WordLevelTrainer(**limits, show_progress=False)
    letters = letters if model == "wordpiece" else [*letters, SPACE]
    kind = trainers.WordPieceTrainer if model == "wordpiece" else trainers.BpeTrainer
    return kind(**limits, initial_alphabet=letters, limit_alphabet=len(letters), show_progress=False)


def _letters(texts: Sequence[str], most: int) -> list[str]:
    """The most frequent characters, ties in their order; the library's own choice among ties is not repeatable."""
    counts = Counter(c for c in chain.from_iterable(texts) if not c.isspace())
    return sorted(sorted(counts, key=lambda c: (-counts[c], c))[:most])


def _inner(texts: Sequence[str], letters: Sequence[str]) -> list[str]:
    """The letters that follow another within some word."""
    pairs = set(chain.from_iterable(map(pairwise, texts)))
    apart = {c for c in {c for pair in pairs for c in pair} if c.isspace() or category(c)[0] == "P"}
    inner = {pair[1] for pair in pairs if not apart & set(pair)}
    return sorted(inner & set(letters))


def _files(path: Path) -> tuple[Path, Path]:
    """A tokenizer and its config, by the path of the first or of their folder; the config may not exist."""
    file = path / "tokenizer.json" if path.is_dir() else path
    return file, file.with_name("tokenizer_config.json")


def _padding(tokenizer: "Tokenizer", config: Path) -> str | None:
    """The padding token: as its config says, the tokenizer itself, or one of the usual names."""
    try:
        given = json.loads(config.read_text(encoding="utf-8")).get("pad_token")
    except (OSError, ValueError, AttributeError):
        given = None
    if isinstance(given, dict):
        given = given.get("content")
    names = (given, (tokenizer.padding or {}).get("pad_token"), *PADDINGS)
    return next((name for name in names if isinstance(name, str) and tokenizer.token_to_id(name) is not None), None)


def unknown(tokenizer: "Tokenizer") -> int | None:
    """Id of the unknown token; None where a tokenizer has none."""
    names = (getattr(tokenizer.model, "unk_token", None), UNKNOWN, "<unk>")
    return next((i for name in names if name and (i := tokenizer.token_to_id(name)) is not None), None)
