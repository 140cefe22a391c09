"""A model card in Hugging Face's form: what an exported network is, how it was trained and measured, what it is for."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from codistill import checkpoint, files
from codistill.deployment.choice import Choice, lines
from codistill.deployment.config import architecture_of
from codistill.deployment.naming import is_hf, public
from codistill.deployment.opening import Opened
from codistill.deployment.trained import Trained
from codistill.deployment.usage import of_transformers, usage
from codistill.description import Network
from codistill.run import Run
from codistill.spec import Spec

MEASURES = {"accuracy": "accuracy", "map": "mAP", "cmc1": "rank-1", "nll": "NLL, nats", "ece": "ECE", "brier": "Brier"}
FRACTIONS = ("accuracy", "map", "cmc1", "ece")  # shown in percent
SETTINGS = (
    "method", "peers", "models", "data", "labels", "unlabelled", "shards", "noise", "augment", "optimizer",
    "learning_rate", "weight_decay", "schedule", "epochs", "steps", "batch", "seed", "update", "precision", "keep",
)  # fmt: skip

SPECS = ("method", "models", "data", "shards", "noise", "augment", "schedule")


def card_of(net: Trained, cohort: Opened, choice: Choice, config: Mapping[str, Any]) -> str:
    """The text of ``README.md``, with its metadata in front.

    Args:
        net: what is exported.
        cohort: where it is from.
        choice: which of its networks.
        config: the export's.
    """
    run = _run_of(cohort)
    title = f"{_title(net, cohort, choice)}, trained on {_data(run)} with {public(run.method)}"
    sections = {
        "Model": _model(net, cohort, run, choice),
        "Use": usage(net, config),
        "Training": _table(
            [(name, _shown(name, run.as_dict()[name])) for name in SETTINGS if run.as_dict()[name] is not None]
        ),
        "Measured": _measured(cohort, choice) + _compared(cohort, run),
        "Intended use": _intended(net, run),
        "Limits": _limits(net),
        "Origin": _origin(net, cohort),
    }
    body = "\n".join(f"## {name}\n\n{text.strip()}\n" for name, text in sections.items() if text.strip())
    metadata = _metadata(net, run, config, [cohort.networks[peer] for peer in choice.peers])
    return f"---\n{metadata}---\n\n# {title}\n\n{body}"


def _title(net: Trained, cohort: Opened, choice: Choice) -> str:
    network = cohort.networks[choice.peers[0]]
    if not choice.ensemble and is_hf(network.model):
        return architecture_of(network, net.members[0])
    return f"{net.name[0].upper()}{net.name[1:]}"


def _metadata(net: Trained, run: Run, config: Mapping[str, Any], networks: Iterable[Network]) -> str:
    images = net.preprocess.about.images
    kind = "feature-extraction" if net.embeds else "image-classification" if images else "text-classification"
    tags = ["codistill", "knowledge-distillation", run.method.name]
    bases = sorted({network.base for network in networks if network.base})
    head = "library_name: transformers\n" if of_transformers(config) else ""
    head += "".join(["base_model:\n", *(f"- {json.dumps(base)}\n" for base in bases)]) if bases else ""
    return f"{head}pipeline_tag: {kind}\ntags:\n" + "".join(f"- {json.dumps(tag)}\n" for tag in tags)


def _data(run: Run) -> str:
    return "data given in Python" if str(run.data) == "python" else public(run.data)


def _run_of(cohort: Opened) -> Run:
    """The settings of the run."""
    first = cohort.networks[0]
    fits = [
        run
        for run in checkpoint.read_runs(cohort.folder)
        if (str(run.method), run.seed, run.retraining, run.peers)
        == (first.method, first.seed, first.retraining, len(cohort.networks))
    ]
    if not fits:
        raise ValueError(f"{cohort.folder}: networks.json and runs.json are of different runs: copy the folder again")
    models = [network.model for network in cohort.networks]
    same = [run for run in fits if [str(s.without("start", "start_peer")) for s in run.networks()] == models]
    return (same or fits)[0]


def _model(net: Trained, cohort: Opened, run: Run, choice: Choice) -> str:
    gives = "embeddings" if net.embeds else f"{len(net.classes)} classes"
    sees = "images" if net.preprocess.about.images else "texts"
    text = f"From {sees} to {gives}: {net.name}, {net.chosen}, of a cohort of {run.peers} trained together.\n"
    models = ", ".join(f"`{public(network.model)}`" for network in cohort.networks)
    text += f"\nThe cohort's networks: {models}.\n"
    for peer, module in zip(choice.peers, net.members, strict=True):
        if is_hf(cohort.networks[peer].model):
            text += (
                f"\nNetwork {peer} is a {architecture_of(cohort.networks[peer], module)}, a class of transformers.\n"
            )
    if not net.embeds:
        text += f"\nClasses, in the order of the outputs: {', '.join(f'`{name}`' for name in net.classes)}.\n"
    return text


def _measured(cohort: Opened, choice: Choice) -> str:
    """What the run measured of this network, or of the ensemble."""
    rows = [
        r for r in lines(cohort.folder / "results.jsonl") if r.get("number", 0) == cohort.run and r.get("kind") is None
    ]
    if choice.ensemble:
        rows = [r for r in rows if r["peer"] is None and r["networks"] == len(choice.peers)]
    else:
        rows = [r for r in rows if r["peer"] == choice.peers[0]]
    parts = [
        f"On {row['n']} examples of the {row['part']} part:\n\n"
        + _table([(name, _figure(key, row[key])) for key, name in MEASURES.items() if key in row])
        for row in rows
    ]
    return "\n".join(parts) or "Nothing was measured: the run is not finished.\n"


def _compared(cohort: Opened, run: Run) -> str:
    """What a comparison found of this method, with its interval."""
    path = cohort.folder.parent.parent / "summary.json"
    if not path.is_file():
        return ""
    summary = files.read_json(path)
    measure = summary.get("measure", "accuracy")
    text = []
    for row in summary["rows"]:
        spec = Spec.of(str(row["method"]).partition(" [")[0])
        options = {name: value for name, value in spec.options.items() if name != "peers"}
        if Spec(spec.name, spec.args, options) != run.method or row.get("peers") not in (run.peers, 1):
            continue
        said = (
            f"{row['label']}: {measure} {row[f'{measure}_mean']:.2%}, {row['networks']} networks, {row['seeds']} seeds"
        )
        if row.get("gain_mean") is not None:
            interval = row.get("gain_ci95")
            span = f" [{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]" if interval else ""
            said += (
                f"; against the same networks trained alone {100 * row['gain_mean']:+.2f}{span} points "
                "(95 % interval of Student's t over seeds, paired)"
            )
        text.append(f"- {said}.\n")
    return "\nIn the comparison that it is from:\n\n" + "".join(text) if text else ""


def _intended(net: Trained, run: Run) -> str:
    what = "images" if net.preprocess.about.images else "texts"
    if net.embeds:
        return (
            f"Finding {what} of the same identity by the distance of embeddings, for {what} like those of {_data(run)}."
        )
    return f"Telling these {len(net.classes)} classes apart in {what} like those of {_data(run)}."


def _limits(net: Trained) -> str:
    said = [
        "Nothing is known of other data than those above: other cameras, sources, languages or times.",
        "An input of none of the classes gets one of them all the same, perhaps with high confidence.",
        "The measures are means over examples: some groups of examples may fare worse, which was not measured.",
    ]
    return "".join(f"- {line}\n" for line in said[:: 2 if net.embeds else 1])


def _origin(net: Trained, cohort: Opened) -> str:
    with_ = ", ".join(f"{name} {version}" for name, version in net.preprocess.about.versions.items())
    return f"Exported from the run folder `{cohort.folder.name}`, trained with {with_}.\n"


def _figure(key: str, value: float) -> str:
    return f"{100 * value:.2f} %" if key in FRACTIONS else f"{value:.4f}"


def _shown(setting: str, value: object) -> str:
    """A setting's value; specs without somebody's folders."""
    values = value if isinstance(value, list) else [value]
    return " ".join(public(str(v)) if setting in SPECS else str(v) for v in values) or "none"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "| | |\n| --- | --- |\n" + "".join(f"| {name} | {value} |\n" for name, value in rows)
