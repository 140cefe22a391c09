"""Word vectors from a text file, as GloVe and word2vec are published."""

import gzip
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from codistill.data.text.tokenizer import size

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST = 2**20  # characters of a line
STARTS = ("▁", "Ġ")  # before the first piece of a word, as tokenizers mark it


def read_vectors(path: Path, tokenizer: "Tokenizer") -> tuple[Tensor, int]:
    """Vectors ``[vocabulary, D]`` of the tokens that are whole words, and how many have one.

    One word to a line, ``word v1 ... vD``, packed (.gz) or not; a first line of two whole numbers (word2vec's) is
    skipped. A word may hold spaces: the last D fields are its vector. Other rows are NaN. Of a word that
    occurs twice the first counts.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line has no D numbers, or no word is a token; names the file, and the line.
    """
    words = _words(tokenizer)
    vectors: dict[str, list[float]] = {}
    width = 0
    for number, line in _lines(path):
        fields = line.rstrip("\n\r ").split(" ")
        if number == 1 and len(fields) == 2 and all(map(str.isdecimal, fields)):
            continue
        width = width or len(fields) - 1
        word = " ".join(fields[: len(fields) - width])
        if len(fields) <= width or width < 1:
            needs = f"a word and {max(width, 1)} numbers"
            raise ValueError(f"{path}, line {number}: {len(fields)} fields, not {needs}: repair it")
        if word in words and word not in vectors:
            try:
                vectors[word] = list(map(float, fields[-width:]))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}: give a word and {width} numbers") from error
    if not vectors:
        raise ValueError(f"{path}: none of its words is a token: use vectors of the texts' language, in small letters")
    table = torch.full((size(tokenizer), width), torch.nan)
    for word, vector in vectors.items():
        table[words[word]] = torch.tensor(vector)
    return table, int((~table.isnan().any(1)).sum())


def _words(tokenizer: "Tokenizer") -> Mapping[str, list[int]]:
    """Ids of the tokens that are whole words or signs, by the word; pieces of words are left out."""
    vocabulary = tokenizer.get_vocab()
    special = tokenizer.get_added_tokens_decoder()
    first = {token for token in vocabulary if token.startswith(STARTS) and len(token) > 1}
    words: dict[str, list[int]] = defaultdict(list)
    for token, number in vocabulary.items():
        if number not in special and (token in first or not first or not any(c.isalnum() for c in token)):
            words[token[1:] if token in first else token].append(number)
    return words


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a file with their numbers, from 1."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", errors="replace", newline="\n") as file:
            for number, line in enumerate(iter(partial(file.readline, LONGEST), ""), 1):
                if len(line) == LONGEST:
                    raise ValueError(
                        f"{path}, line {number}: {LONGEST:,} characters or more: give a word and its numbers"
                    )
                yield number, line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged ({error}): fetch it again") from error
