"""A recipe in a minute on two cores, to see that everything works before the long run."""

import dataclasses
import re

from codistill.spec import Spec
from codistill.study import Row, Study

EXAMPLES = 64
LABELS = EXAMPLES // 2  # where not all examples have one
BATCH = 16
SEEDS = 2
NETWORKS = {"wrn28_10": "wrn16_2", "resnet110": "resnet32", "preact_resnet18": "resnet20"}
SIZES = {"bigru": {"hidden": 32, "embedding": 32}, "bilstm": {"hidden": 16, "embedding": 16}}  # of networks for text
SIDE = 64  # of images, in pixels
TEXTS = {"length": 64, "tokenizer": "words", "vocabulary": 1000}  # learning a tokenizer from all texts takes longer
NOTE = (
    f"A quick look: {EXAMPLES} examples, one epoch, smaller networks. It shows that everything works; no figure counts."
)


def quick(study: Study) -> Study:
    """The same rows with few examples, one epoch, two seeds, and small networks in the place of large ones."""
    base = study.base
    small = base.replace(
        data=_small_data(base.data),
        models=tuple(map(_small_network, base.models)),
        limit=EXAMPLES,
        labels=None if base.labels is None else LABELS,
        valid=0.2 if base.valid else 0.0,
        unlabelled=min(base.unlabelled, BATCH),
        batch=min(base.batch, LABELS // base.peers // 2 if base.private else BATCH),
        epochs=1,
        steps=None,
        evaluate_every=min(base.evaluate_every, 1),
        execute="loop",
    )
    return dataclasses.replace(
        study,
        recipe=re.sub(r":|$", "-quick\\g<0>", study.recipe, count=1),
        base=small,
        rows=tuple(map(_small_row, study.rows)),
        seeds=study.seeds[:SEEDS],
        stacked=True,
        quick=True,
        notes=(*study.notes, NOTE),
    )


def _small_network(spec: Spec) -> Spec:
    if spec.name in NETWORKS:
        return Spec(NETWORKS[spec.name], spec.args, spec.without("form").options)
    return spec.replace(**SIZES.get(spec.name, {}))


def _small_data(spec: Spec) -> Spec:
    sides = {k: min(v, SIDE) for k, v in spec.options.items() if k in ("height", "width")}
    return spec.replace(**sides, **(TEXTS if "length" in spec.options else {}))


def _small_row(row: Row) -> Row:
    if isinstance(models := row.setting("models"), tuple):
        row = row.replace(models=tuple(map(_small_network, models)))
    if isinstance(teacher := row.method.options.get("teacher"), str) and Spec.of(teacher).name in NETWORKS:
        row = row.replace(teacher=str(_small_network(Spec.of(teacher))))
    return row
