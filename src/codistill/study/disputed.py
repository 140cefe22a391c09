"""The test examples on which peers differ most, kept with their images or texts when a study ends.

A report is made from a study's folder alone, without its data set: what it shows of examples has to be there.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from codistill import files
from codistill.data.examples import DataSet
from codistill.data.shown import images_of, png_address, shortened, texts_of
from codistill.data.split import limited
from codistill.jsonable import from_json, to_json
from codistill.study.differences import Key
from codistill.study.entries import Study
from codistill.study.rows import BASELINE
from codistill.training.build import dataset_of
from codistill.training.decisions import Decisions

NAME = "examples.json"
MOST = 12
SIDE = 80  # pixels, as large as they are shown
LETTERS = 200  # of a text


class Disputed(NamedTuple):
    """An example on which peers differ: its number, class, what they say and how often, and pairs that differ."""

    number: int
    label: int
    votes: tuple[tuple[int, int], ...]
    differ: float


@dataclass(frozen=True)
class Shown:
    """What an example looks like: its image as a data address, or the beginning of its text."""

    image: str = ""
    text: str = ""


def most_disputed(cohorts: Iterable[Decisions]) -> list[Disputed]:
    """The examples on which the peers of a cohort differ most, over all cohorts.

    Cohorts of one network, and those that were measured on other examples than the first, are left out.
    """
    several = [each for each in cohorts if len(each.classes) > 1]
    same = [each for each in several if torch.equal(each.labels, several[0].labels)]
    if not same:
        return []
    differ = torch.stack([_apart(each.classes) for each in same]).mean(0)
    order = differ.argsort(descending=True, stable=True)[:MOST].tolist()
    return [_disputed(number, same, float(differ[number])) for number in order if differ[number] > 0]


def _apart(classes: Tensor) -> Tensor:
    """Share of the pairs of networks that choose different classes, of each example: ``[P, n]`` -> ``[n]``."""
    peers = len(classes)
    return (classes.unsqueeze(0) != classes.unsqueeze(1)).double().sum((0, 1)) / (peers * (peers - 1))


def _disputed(number: int, cohorts: Sequence[Decisions], differ: float) -> Disputed:
    votes = Counter(int(vote) for each in cohorts for vote in each.classes[:, number])
    return Disputed(number, int(cohorts[0].labels[number]), tuple(votes.most_common()), differ)


def keep_examples(study: Study, decisions: Mapping[Key, Decisions], folder: Path, given: DataSet | None) -> None:
    """``examples.json``: what the most disputed test examples look like, by their number; not where it is there.

    Nothing where a decision is no example (several labels, tokens), or no cohort of mutual learning has two networks.

    Args:
        study: that has ended.
        decisions: of its trainings.
        folder: its.
        given: the data set, where it is not the one that the study names.
    """
    if study.part != "test" or files.read_if_whole(folder / NAME) is not None:
        return
    names = {entry.name for entry in study.entries if entry.cohort > 1 and entry.method.name != BASELINE}
    ordered = [each for key, each in sorted(decisions.items(), key=lambda item: item[0]) if key[0] in names]
    found = most_disputed(ordered)
    if not found:
        return
    try:
        dataset = limited(dataset_of(study.base, given), study.base.limit)
    except (OSError, ValueError) as error:  # a comparison that is trained needs its data for nothing else
        warnings.warn(f"{folder}: its report will show no test examples: {error}", stacklevel=2)
        return
    shown = _shown(dataset, [one.number for one in found], next(each for each in ordered if len(each.classes) > 1))
    if shown:
        files.write_json(folder / NAME, {"examples": to_json({str(number): each for number, each in shown.items()})})


def _shown(dataset: DataSet, numbers: Sequence[int], decided: Decisions) -> dict[int, Shown]:
    """Those of the test part's labelled examples; nothing where the decisions are of others."""
    y = dataset.test.y.cpu()
    if dataset.task not in ("classes", "binary") or y.dim() != 1:
        return {}
    labelled = (y >= 0).nonzero().flatten()
    if not torch.equal(y[labelled].long(), decided.labels.long()):
        return {}
    index = labelled[torch.tensor(numbers)]
    images = images_of(dataset.test, index)
    if images is not None:
        return {number: Shown(png_address(image, SIDE)) for number, image in zip(numbers, images, strict=True)}
    if dataset.text is None:
        return {}
    texts = shortened(texts_of(dataset, dataset.test, index), LETTERS)
    return {number: Shown(text=text) for number, text in zip(numbers, texts, strict=True)}


def read_examples(folder: Path) -> dict[int, Shown]:
    """What the examples of a study's folder look like, by number; none where there is no such file.

    Raises:
        Damaged: names the file.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        examples = files.read_json(path)["examples"]
        return {int(number): from_json(Shown, each) for number, each in examples.items()}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, files.Damaged):
            raise
        raise files.Damaged(f"{path} is damaged: {files.said(error)}: remove it") from error


__all__ = ["Disputed", "Shown", "keep_examples", "most_disputed", "read_examples"]
