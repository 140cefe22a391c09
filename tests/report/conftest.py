"""A study as it could have been: 10 seeds, 6 methods; results drawn once, the summary computed from them."""

import copy
import math

import numpy as np
import pytest

from codistill.statistics.interval import mean_sd, paired_interval
from codistill.study.summary import Summary
from codistill.training.results import result_from_json

SEEDS = list(range(10))
# label, peers, networks per seed, gain, cost: forward, backward, seconds, same gradient as
METHODS = {
    "alone": ("alone", 4, 4, 0.0, 4.0, 4.0, 4.0, None),
    "alone:label_smoothing=0.1": ("alone, label smoothing 0.1", 4, 4, -0.004, 4.0, 4.0, 4.02, None),
    "dml:peers=2": ("DML, 2 networks", 2, 2, 0.0045, 2.0, 2.0, 2.13, None),
    "dml:peers=4": ("DML, 4 networks", 4, 4, 0.0068, 4.0, 4.0, 4.31, None),
    "dml_ensemble:peers=4": ("DML_e, 4 networks", 4, 4, 0.0068, 4.0, 4.0, 4.27, "dml:peers=4"),
    "kd": ("KD from a frozen teacher", 1, 4, 0.0004, 3.0, 2.0, 2.4, None),
}


def line(method, peers, seed, peer, accuracy, draw):
    ece = 0.021 + 0.003 * draw.standard_normal()
    return {
        "method": method,
        "peers": peers,
        "seed": seed,
        "peer": peer,
        "networks": 1 if peer is not None else peers,
        "part": "test",
        "n": 797,
        "accuracy": round(accuracy * 797) / 797,
        "nll": 3.4 * (1 - accuracy),
        "ece": ece,
        "brier": 1.5 * (1 - accuracy),
        "entropy": 0.18,
    }


def drawn_results():
    draw = np.random.default_rng(0)
    lines = []
    before = np.zeros(4)
    for seed in SEEDS:
        level = 0.935 + 0.004 * draw.standard_normal()
        for method, (_, peers, networks, gain, *_) in METHODS.items():
            accuracies = level + gain + 0.0055 * draw.standard_normal(networks)
            if method == "dml_ensemble:peers=4":  # the same training up to amplified rounding
                accuracies = before + 0.0015 * draw.standard_normal(networks)
            before = accuracies
            lines += [line(method, peers, seed, i, float(a), draw) for i, a in enumerate(accuracies)]
            if peers > 1:
                together = float(accuracies.mean()) + 0.005 * math.log2(peers) * (0.8 if "dml" in method else 1)
                lines.append(line(method, peers, seed, None, together, draw))
    return lines


def mean_of(lines, key):
    return mean_sd(line[key] for line in lines)[0]


def summarised(results):
    def of(method, seed):
        lines = (r for r in results if (r["method"], r["seed"]) == (method, seed))
        return mean_of([r for r in lines if r["peer"] is not None], "accuracy")

    per_seed = {method: [of(method, seed) for seed in SEEDS] for method in METHODS}
    rows = []
    for method, (label, peers, networks, _, forward, backward, seconds, same) in METHODS.items():
        single = [r for r in results if r["method"] == method and r["peer"] is not None]
        together = [r for r in results if r["method"] == method and r["peer"] is None]
        alone = [r for r in results if r["method"] == "alone" and r["peer"] is None]
        gains = [a - b for a, b in zip(per_seed[method], per_seed["alone"], strict=True)]
        mean, low, high = paired_interval(gains)
        accuracy, sd = mean_sd(r["accuracy"] for r in single)
        is_baseline = method == "alone"
        rows.append(
            {
                "method": method,
                "label": label,
                "peers": peers,
                "seeds": len(SEEDS),
                "networks": networks * len(SEEDS),
                "accuracy_mean": accuracy,
                "accuracy_sd": sd,
                "gain_mean": None if is_baseline else mean,
                "gain_ci95": None if is_baseline else [low, high],
                "gain_per_seed": None if is_baseline else gains,
                "ensemble_networks": peers if together else None,
                "ensemble_mean": mean_of(together, "accuracy") if together else None,
                "ensemble_alone_mean": None if not together else mean_of(alone, "accuracy") - 0.004 * (peers == 2),
                "ece_mean": mean_of(single, "ece"),
                "nll_mean": mean_of(single, "nll"),
                "entropy_mean": 0.18,
                "same_gradient_as": same,
                "cost": {
                    "forward": forward,
                    "backward": backward,
                    "seconds": seconds,
                    "forward_per_network": forward / peers,
                    "backward_per_network": backward / peers,
                    "seconds_per_network": seconds / peers,
                },
            }
        )
    about = {"recipe": "digits", "seeds": SEEDS, "n_test": 797, "baseline": "alone", "notes": []}
    return {**about, "rows": rows, "settings": {}, "command": "", "versions": {}}


def typed(values):
    """A summary of its JSON."""
    return Summary.from_dict(values)


def lines_of(results):
    """Results of their JSON."""
    return [result_from_json(line) for line in results]


def drawn_log(epochs=40):
    draw = np.random.default_rng(1)
    lines = []
    for method, (_, _, networks, gain, *_) in METHODS.items():
        for seed in SEEDS:
            for epoch in range(epochs):
                noise = 1 + 0.08 * draw.standard_normal(networks)
                task = ((1.6 + 40 * gain) * np.exp(-epoch / 9) + 0.05) * noise
                terms = {"task": task.tolist()}
                if method.startswith(("dml", "kd")):
                    terms["mimic"] = ((0.2 + 0.07 * networks) * np.exp(-epoch / 14) * noise).tolist()
                lines.append(
                    {
                        "kind": "epoch",
                        "run": f"{method}/seed={seed}",
                        "method": method,
                        "seed": seed,
                        "epoch": epoch,
                        "progress": (epoch + 1) / epochs,
                        "learning_rate": 0.1,
                        "seconds": 0.7,
                        "terms": terms,
                    }
                )
    return lines


_RESULTS = drawn_results()
_SUMMARY = summarised(_RESULTS)
_LOG = drawn_log()


@pytest.fixture
def results():
    return copy.deepcopy(_RESULTS)


@pytest.fixture
def summary():
    return copy.deepcopy(_SUMMARY)


@pytest.fixture
def log():
    return copy.deepcopy(_LOG)
