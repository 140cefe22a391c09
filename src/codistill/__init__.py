"""codistill: networks that learn together.

cohort = Cohort([net_a, net_b])
method = DML()
terms = method(cohort, Batch(x, y))     # {"task": [P], "mimic": [P]}
"""

import importlib
from typing import Any

_HOMES = {
    "Alone": "methods.alone",
    "Batch": "batch",
    "Cohort": "cohort",
    "DML": "methods.dml",
    "DMLEnsemble": "methods.dml_ensemble",
    "DataSet": "data.examples",
    "Examples": "data.examples",
    "Graph": "graph",
    "KD": "methods.kd",
    "Method": "methods",
    "PerPeer": "batch",
    "Record": "train",
    "Run": "run",
    "Study": "study",
    "along": "graph",
    "blend": "graph",
    "compare": "study",
    "complete": "graph",
    "cross_entropy": "losses.cross_entropy",
    "js": "losses.js",
    "kl": "losses.kl",
    "reverse_kl": "losses.kl",
    "ring": "graph",
    "star": "graph",
    "symmetric_kl": "losses.kl",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line's help need not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'codistill' has no attribute {name!r}")
    return getattr(importlib.import_module(f"codistill.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
