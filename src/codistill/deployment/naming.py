"""What networks and data are called where others read it: never by a place on somebody's machine."""

import re
from pathlib import Path

from codistill.spec import Spec, Value

HF = "hf"  # the model that is named by a folder or by a hub's name
LOCAL = re.compile(r"[/.~\\]|[A-Za-z]:[\\/]")  # how a path begins that is no hub's name


def public(spec: str | Spec) -> str:
    """A spec with files and folders by their names alone: ``hf:/data/bert,n_layers=2`` -> ``hf:bert,n_layers=2``."""
    spec = Spec.of(spec)
    args = tuple(map(_without_folders, spec.args))
    if spec.name.lower() == HF and args:
        args = (base_model(spec), *args[1:])
    return str(Spec(spec.name, args, {name: _without_folders(value) for name, value in spec.options.items()}))


def is_hf(spec: str | Spec) -> bool:
    """Whether a model is one of transformers."""
    return Spec.of(spec).name.lower() == HF


def base_model(spec: str | Spec) -> str:
    """What a model of transformers started from: a hub's name, or a folder's without where it is."""
    name = str(Spec.of(spec).args[0])
    return Path(name).name if name.count("/") > 1 else str(_without_folders(name))


def _without_folders(value: Value) -> Value:
    if not isinstance(value, str) or not (LOCAL.match(value) or ("/" in value and Path(value).exists())):
        return value
    return re.split(r"[\\/]", value.rstrip("\\/"))[-1] or value
