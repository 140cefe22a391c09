"""A recipe in a minute on two cores, to see that everything is in place before the long run."""

import dataclasses
import re

from codistill.study import Study

EXAMPLES = 64
BATCH = 16
SEEDS = 2
SMALL = {  # what a network, or a size, becomes
    "wrn28_10": "wrn16_2",
    "resnet110": "resnet32",
    "preact_resnet18:form=released": "resnet20",
    "preact_resnet18": "resnet20",
    "bigru:hidden=256,embedding=160": "bigru:hidden=32,embedding=32",
    "bilstm:hidden=64,embedding=100": "bilstm:hidden=16,embedding=16",
    "height=224,width=224": "height=64,width=64",
    "length=400": "length=64,tokenizer=words,vocabulary=1000",  # less to learn a tokenizer from all texts
}
NOTE = f"A quick look: {EXAMPLES} examples, one epoch, smaller networks. It shows that all is in place, and no figure."


def quick(study: Study) -> Study:
    """The same rows with few examples, one epoch, two seeds, and small networks in the place of large ones."""
    base = study.base
    small = base.replace(
        data=_small(base.data),
        models=tuple(map(_small, base.models)),
        limit=EXAMPLES,
        labels=None if base.labels is None else EXAMPLES // 2,
        valid=0.2 if base.valid else 0.0,
        batch=min(base.batch, BATCH),
        epochs=1,
        evaluate_every=min(base.evaluate_every, 1),
        execute="loop",
    )
    return dataclasses.replace(
        study,
        recipe=re.sub(r":|$", "-quick\\g<0>", study.recipe, count=1),
        base=small,
        methods=tuple(map(_small, study.methods)),
        seeds=study.seeds[:SEEDS],
        stacked=True,
        quick=True,
        notes=(*study.notes, NOTE),
    )


def _small(spec: str) -> str:
    for large, small in SMALL.items():
        spec = re.sub(rf"(?<![\w]){re.escape(large)}(?![\w])", small, spec)
    return spec


__all__: list[str] = []  # no recipe of its own
