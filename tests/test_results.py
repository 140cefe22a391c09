"""The rows of a run's results, and the lines of results.jsonl that they become."""

import json

import pytest
import torch

from codistill.training.results import NetworkResult, Origin, PairsResult, result_from_json, rows_of

ABOUT = '{"method": "dml", "update": "together", "peers": 2, "seed": 0, "number": 0, "part": "test", "n": 797, '
KEPT = [
    ABOUT + '"peer": 0, "networks": 1, "accuracy": 0.10037641227245331, "nll": 2.3041462898254395, '
    '"ece": 0.02865748293697834, "brier": 0.9004521369934082, "entropy": 2.2933509349823, "aurc": 0.9169646501541138, '
    '"top5": 0.500627338886261}',
    ABOUT + '"peer": null, "networks": 2, "accuracy": 0.09912170469760895}',
    ABOUT + '"kind": "pairs", "peer": null, "networks": null, "agreement": [[1.0, 0.0], [0.0, 1.0]], '
    '"error_correlation": [[1.0, null], [null, 1.0]], "kl": [[0.0, 0.029], [0.031, 0.0]], '
    '"js": [[0.0, 0.0075], [0.0075, 0.0]]}',
]


@pytest.mark.parametrize("line", [*KEPT, *('{"entry": "dml:peers=2", ' + line[1:] for line in KEPT)])
def test_a_kept_line_is_read_and_written_as_it_was(line):
    assert json.dumps(result_from_json(json.loads(line)).to_json()) == line


def test_a_line_is_of_a_network_of_an_ensemble_or_of_pairs():
    network, ensemble, pairs = (result_from_json(json.loads(line)) for line in KEPT)
    assert isinstance(network, NetworkResult)
    assert (network.peer, network.networks, network.values["aurc"]) == (0, 1, 0.9169646501541138)
    assert (ensemble.peer, ensemble.networks) == (None, 2)
    assert isinstance(pairs, PairsResult)
    assert pairs.matrices["error_correlation"][0] == [1.0, None]


def test_rows_have_the_keys_of_the_kept_lines_in_their_order_and_may_have_more():
    source = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(2, 30, 7, generator=source), torch.randint(7, (30,), generator=source)
    rows = [row.to_json() for row in rows_of(logits, labels, Origin(method="dml", peers=2, seed=0, part="test", n=30))]
    for row, line in ((rows[0], KEPT[0]), (rows[3], KEPT[2])):
        kept = json.loads(line)
        assert [key for key in row if key in kept] == list(kept)
    assert list(rows[2]) == list(rows[0])
