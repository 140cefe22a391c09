import pytest

from codistill.analysis.judge import findings, merged, number, warnings

EPOCHS = 12


def fall(start, end, n=EPOCHS):
    """A curve that falls (or rises) by the same factor every epoch."""
    return [start * (end / start) ** (k / (n - 1)) for k in range(n)]


def log(mimic, task=None, edge=None, method="dml:peers=2", seed=0, term="mimic"):
    """The lines of a run whose peers are alike; the curves are lists by epoch."""
    task = task or fall(2.3, 0.5, len(mimic))
    peers = 2
    lines = []
    for k, value in enumerate(mimic):
        each = value if isinstance(value, list) else [value] * peers
        line = {
            "kind": "epoch",
            "run": f"{method}/seed={seed}",
            "method": method,
            "seed": seed,
            "epoch": k + 1,
            "terms": {"task": [task[k]] * peers, term: each},
        }
        if edge is not None:
            value = edge[k] if isinstance(edge, list) else edge
            line["edges"] = [[0.0 if i == j else value for j in range(peers)] for i in range(peers)]
        lines.append(line)
    return lines


def kinds(lines):
    return [one.kind for one in findings(lines)]


def only(lines):
    (finding,) = findings(lines)
    return finding


# Too small ----------------------------------------------------------------------------------------------------------


def test_a_term_below_a_hundredth_of_the_tasks_throughout_is_too_small():
    finding = only(log([0.004] * EPOCHS))
    assert (finding.kind, finding.warning, finding.term, finding.epoch) == ("too small", True, "mimic", EPOCHS)
    assert finding.peers == ("peer 0", "peer 1")
    text = str(finding)
    assert text.startswith("dml:peers=2, seed 0: the imitation loss of peer 0, peer 1 is too small to matter")
    assert "0.8 % of the task loss (0.004 beside 0.5 in epoch 12)" in text
    for fix in ("raise weight", "batchmean", "softmax over classes, not over the batch", "temperature without T^2"):
        assert fix in text


def test_of_a_few_epochs_nothing_is_called_too_small():
    assert kinds(log([0.001] * 3)) == []
    assert kinds(log([0.001] * 4)) == ["too small"]


def test_a_term_that_is_large_enough_once_is_not_too_small():
    assert kinds(log([0.0] * 6 + [0.02] * 6)) == ["healthy"]  # method begins late, or ramps up


def test_a_term_that_is_far_smaller_than_the_peers_divergence_was_scaled_down():
    finding = only(log([0.002] * EPOCHS, edge=0.2))
    assert "the peers' divergence is 0.2 nats on average, 100 times the loss that is made of it" in finding.text
    assert "batchmean" in finding.fix


def test_a_small_term_of_peers_that_are_nearly_equal_is_not_the_weights_fault():
    finding = only(log([0.002] * EPOCHS, edge=0.002))
    assert "so the peers are nearly equal" in finding.text
    assert "own views" in finding.fix
    assert "not the weight, but how much they differ" in finding.fix


def test_only_the_peer_that_it_is_true_of_is_named():
    finding = only(log([[0.2, 0.002]] * EPOCHS))
    assert finding.peers == ("peer 1",)


def test_the_sentiment_studys_softmax_over_the_batch_would_have_been_found():
    assert kinds(log([4.35e-5] * 6, task=fall(0.69, 0.3, 6), edge=0.125)) == ["too small"]


# Collapsing ---------------------------------------------------------------------------------------------------------


def test_a_term_that_dies_while_the_task_term_does_not_is_collapsing():
    finding = only(log(fall(0.3, 0.004), task=fall(2.3, 1.2)))
    assert (finding.kind, finding.warning) == ("collapsing", True)
    assert "from 0.3 in epoch 1 to 0.004 in epoch 12 (peer 0), while the task loss went from 2.3 to 1.2" in finding.text
    assert "other networks, own views" in finding.fix
    assert "lower weight" in finding.fix


def test_a_term_that_falls_with_the_task_term_is_not_collapsing():
    assert kinds(log(fall(0.3, 0.004), task=fall(2.3, 0.02))) == ["healthy"]


def test_a_term_that_keeps_a_tenth_of_its_peak_is_not_collapsing():
    assert kinds(log(fall(0.3, 0.03), task=fall(2.3, 1.2))) == ["healthy"]


def test_edges_that_die_are_found_where_their_term_does_not_say():
    finding = only(log([0.3] * EPOCHS, task=fall(2.3, 1.2), edge=fall(0.3, 0.004)))
    assert (finding.kind, finding.term) == ("collapsing", "edges")
    assert finding.peers == ("peer 0 from peer 1", "peer 1 from peer 0")
    assert "the divergence of peer 0 from peer 1" in finding.text


# Growing ------------------------------------------------------------------------------------------------------------


def test_a_term_that_rises_beyond_the_tasks_grows_without_bound():
    finding = only(log(fall(0.1, 3.0), task=fall(2.3, 0.3)))
    assert (finding.kind, finding.warning) == ("growing", True)
    assert "from 0.1 in epoch 1 to 3 in epoch 12" in finding.text
    for fix in ("learning_rate", "weight", "clip", "ramp"):
        assert fix in finding.fix


@pytest.mark.parametrize(
    ("mimic", "task"), [([0.1, 1.0, 50.0], [2.0, 1.0, 0.8]), ([0.1, 90.0], [2.0, 2.0]), ([0.1, 1.0, 50.0, 900.0], None)]
)
def test_a_run_that_diverges_in_a_few_epochs_is_not_called_sound(mimic, task):
    finding = only(log(mimic, task=task))
    assert (finding.kind, finding.warning) == ("growing", True)


@pytest.mark.parametrize("mimic", [[90.0], [50.0, 90.0], [1.0, 0.9, 90.0]])
def test_a_large_term_of_a_few_epochs_is_no_runaway(mimic):
    assert kinds(log(mimic, task=[1.0] * len(mimic))) == ["healthy"]


@pytest.mark.parametrize(
    ("mimic", "task"),
    [
        (fall(0.1, 3.0), [5.0] * EPOCHS),  # not above the task term
        (fall(0.1, 0.2), fall(2.3, 0.05)),  # above it, but not several times its early level
        ([0.1] * 4 + [3.0, 2.5, 2.0, 1.5, 1.0, 0.8, 0.6, 0.5], fall(2.3, 0.05)),  # falls in the second half
        (fall(0.1, 3.0, 3), fall(2.3, 0.3, 3)),  # three epochs are too few
        ([0.0, *fall(0.001, 0.02)], fall(1.9, 0.005, EPOCHS + 1)),  # began at 0, and is still slight
    ],
)
def test_a_rise_that_is_not_without_bound(mimic, task):
    assert kinds(log(mimic, task=task)) == ["healthy"]


# Identical ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge", [0.0, 5e-10])
def test_peers_of_the_same_weights_are_reported_as_that_and_nothing_else(edge):
    finding = only(log([0.0] * EPOCHS, edge=edge))
    assert (finding.kind, finding.warning, finding.epoch) == ("identical", True, 1)
    assert "the same weights, so they teach each other nothing" in finding.text
    assert "a seed of its own" in finding.fix


def test_peers_that_start_a_little_apart_are_not_identical():
    assert kinds(log([0.2] * EPOCHS, edge=[1e-6] + [0.2] * (EPOCHS - 1))) == ["healthy"]


def test_an_edge_that_the_graph_does_not_have_is_not_looked_at():
    lines = log([0.2] * EPOCHS, edge=0.2, method="dml:peers=3,graph=ring")
    for line in lines:
        line["terms"] = {"task": [2.0] * 3, "mimic": [0.2] * 3}
        line["edges"] = [[0.0, 0.2, 0.0], [0.0, 0.0, 0.2], [0.2, 0.0, 0.0]]  # 0 where there is no edge
    assert kinds(lines) == ["healthy"]
    for line in lines:
        line["method"] = "dml:peers=3"
    assert kinds(lines) == ["identical"]


# Healthy, and other terms -------------------------------------------------------------------------------------------


def test_a_sound_run_is_described():
    finding = only(log([0.1, 0.3, 0.2, 0.2], task=[2.0, 1.0, 1.0, 0.5], edge=[0.1, 0.3, 0.2, 0.2]))
    assert (finding.kind, finding.warning, finding.fix) == ("healthy", False, "")
    assert "0.2 on average, 0.3 at its peak in epoch 2, 0.2 at the end" in finding.text
    assert "24 % of the task loss on average, 40 % at the end" in finding.text
    assert (
        "the peers' divergence is 0.2 nats on average (a published study reports 0.1 to 0.3 on images, see "
        "docs/text-question.md)" in finding.text
    )
    assert "To change" not in str(finding)


def test_terms_of_other_names_are_judged_too():
    finding = only(log([0.001] * EPOCHS, term="feature", method="fitnet:teacher=alone"))
    assert (finding.kind, finding.term) == ("too small", "feature")
    assert "the feature loss" in finding.text


def test_a_penalty_below_0_a_shared_term_and_networks_alone_are_not_imitation():
    assert not findings(log([-0.3] * EPOCHS, term="confidence", method="alone:confidence_penalty=0.1"))
    lines = log([0.001] * EPOCHS)
    for line in lines:
        line["terms"]["mimic"] = [0.001]  # of no peer
    assert not findings(lines)
    for line in lines:
        del line["terms"]["mimic"]
    assert not findings(lines)
    assert not findings([{"kind": "start", "step": 0}])


def test_peers_that_learn_from_a_teacher_are_not_judged_by_their_own_edges():
    assert kinds(log([0.3] * EPOCHS, edge=0.0, method="kd:teacher=alone,graph=ring")) == ["healthy"]


def test_your_own_method_is_judged_as_one_of_all_edges():
    assert kinds(log([0.2] * EPOCHS, edge=0.0, method="not_there:Mine")) == ["identical"]


def test_one_finding_stands_for_all_seeds_and_warnings_come_first():
    lines = log([0.2] * 6, method="dml:peers=4") + [
        line for seed in (1, 0) for line in log([0.004] * 6, task=[2.0] * 6, seed=seed)
    ]
    assert [one.warning for one in findings(lines)] == [True, True, False]
    one, other = merged(findings(lines))
    assert one.seeds == (0, 1)
    assert str(one).startswith("dml:peers=2, seeds 0, 1: ")
    assert [w.kind for w in warnings(lines)] == ["too small"]
    assert other.kind == "healthy"


def test_an_epoch_that_was_done_again_counts_once_and_order_does_not_matter():
    lines = log(fall(0.3, 0.004), task=fall(2.3, 1.2))
    assert findings([*lines[6:], *lines, lines[3]]) == findings(lines)


def test_numbers_in_sentences():
    assert [number(x) for x in (0.1234, 126.3, 3.21e-5, 99.6, 0.0)] == ["0.12", "126", "3.2e-05", "100", "0"]


# Few samples --------------------------------------------------------------------------------------------------------

CONFIDENT = "dml:peers=2,select=confident:0.95"


def selecting(kept, mimic=1e-6):
    """The lines of a run with the fraction of samples that each peer selected, by epoch."""
    lines = log([mimic] * len(kept), edge=0.2, method=CONFIDENT)
    return [{**line, "kept": each} for line, each in zip(lines, kept, strict=True)]


def test_a_threshold_that_nothing_passes_is_named_and_not_the_small_term_that_it_makes():
    finding = only(selecting([[0.0, 0.0], [0.003, 0.002], [0.001, 0.0], [0.0, 0.0]]))
    assert (finding.kind, finding.warning, finding.peers) == ("few samples", True, ("peer 0", "peer 1"))
    assert "select=confident:0.95 keeps at most 0.3 % of the samples that peer 0, peer 1 could imitate" in str(finding)
    assert "lower the threshold" in finding.fix


def test_only_the_peer_that_selects_next_to_nothing_is_named():
    (finding,) = (f for f in findings(selecting([[0.5, 0.0]] * 4)) if f.kind == "few samples")
    assert finding.peers == ("peer 1",)


def test_a_selection_that_keeps_enough_in_one_epoch_is_not_reported():
    assert "few samples" not in kinds(selecting([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.4, 0.4]], mimic=0.2))
