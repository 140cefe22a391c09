"""codistill: networks that learn together.

cohort = Cohort([net_a, net_b])
method = DML()
terms = method(cohort, Batch(x, y))     # {"task": [P], "mimic": [P]}
"""

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codistill.batch import Batch as Batch, PerPeer as PerPeer
    from codistill.cohort import Cohort as Cohort
    from codistill.data.conversion import from_dataset as from_dataset
    from codistill.data.examples import DataSet as DataSet, Examples as Examples
    from codistill.deployment import Trained as Trained, load as load
    from codistill.fitting import fit as fit
    from codistill.graph import (
        Graph as Graph,
        along as along,
        blend as blend,
        complete as complete,
        ring as ring,
        star as star,
    )
    from codistill.losses.divergence import imitate as imitate
    from codistill.losses.divergences.js import js as js
    from codistill.losses.divergences.kl import kl as kl, reverse_kl as reverse_kl, symmetric_kl as symmetric_kl
    from codistill.losses.labels import cross_entropy as cross_entropy, label_loss as label_loss
    from codistill.methods import Method as Method, Needs as Needs
    from codistill.methods.alone import Alone as Alone
    from codistill.methods.dml import DML as DML
    from codistill.methods.dml_ensemble import DMLEnsemble as DMLEnsemble
    from codistill.methods.kd import KD as KD
    from codistill.run import Run as Run
    from codistill.study import Row as Row, Study as Study, compare as compare
    from codistill.training.loop import restored as restored, resume as resume, train as train
    from codistill.training.records import Record as Record

# These names are imported when they are first used, so that the command line's help need not wait for torch.
_MODULES = {
    alias.name: str(node.module)
    for node in ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8")))
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("codistill.")
    for alias in node.names
}
__all__ = sorted(_MODULES)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'codistill' has no attribute {name!r}")
        return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
