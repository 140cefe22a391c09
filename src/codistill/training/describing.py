"""A fleet's networks, described for those who will use them."""

from pathlib import Path

from codistill.description import Description, Network, versions, write_description
from codistill.models import network_name
from codistill.spec import Spec
from codistill.training.fleet import Fleet, PeerSlot

CONFIGS = "configs"  # the folder of the configs of transformers' networks


def describe(fleet: Fleet, folder: Path) -> None:
    """Write ``networks.json``, the tokenizer of texts and the configs of transformers' networks into a run's folder."""
    dataset, run = fleet.dataset, fleet.run
    dataset.save_artefacts(folder)
    x = dataset.train.x
    description = Description(
        task=dataset.task,
        classes=dataset.classes,
        names=tuple(map(str, dataset.names)),
        shape=tuple(x.shape[1:]),
        dtype="float32" if x.is_floating_point() else "uint8" if x.ndim == 4 else "int64",
        mean=tuple(map(float, dataset.mean)),
        std=tuple(map(float, dataset.std)),
        data=str(run.data),
        networks=_networks(fleet, folder),
        cut=dataset.cut,
        vocabulary=None if dataset.text is None else dataset.text.vocabulary,
        embedding=run.embedding if dataset.retrieval is not None else None,
        precision=run.precision,
        versions=versions(),
    )
    write_description(folder, description)


def _networks(fleet: Fleet, folder: Path) -> tuple[Network, ...]:
    configs: dict[Spec, str] = {}
    networks = []
    for peer, slot in enumerate(fleet.slots):
        if slot.number not in fleet.here(slot.run):
            continue
        spec = slot.run.networks()[slot.number].without("start", "start_peer")
        if spec.name.lower() == "hf" and spec not in configs and peer in fleet.cohort.held:
            configs[spec] = _save_config(fleet, peer, folder, f"{CONFIGS}/{len(configs)}")
        networks.append(_network(fleet, slot, spec, configs.get(spec, "")))
    return tuple(networks)


def _network(fleet: Fleet, slot: PeerSlot, spec: Spec, config: str) -> Network:
    run = slot.run
    return Network(
        run=fleet.runs.index(run),
        peer=slot.number,
        method=str(run.method),
        seed=run.seed,
        model=str(spec),
        kind=network_name(spec),
        retraining=run.retraining,
        config=config,
        base=_base(spec),
    )


def _base(spec: Spec) -> str:
    """What the hub calls the model that a network of transformers started from; empty where that was a folder."""
    if spec.name.lower() != "hf" or not spec.options.get("pretrained", True) or Path(str(spec.args[0])).exists():
        return ""
    return str(spec.args[0])


def _save_config(fleet: Fleet, peer: int, folder: Path, name: str) -> str:
    """The config of a network of transformers, which would else be looked for where it was pre-trained."""
    config = getattr(fleet.cohort.network(peer), "config", None)
    if config is None:
        return ""
    config.save_pretrained(folder / name)
    return name
