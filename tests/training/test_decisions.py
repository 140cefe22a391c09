import pytest
import torch
from safetensors.torch import save_file

from codistill.metrics.accuracy import accuracy
from codistill.training.decisions import NAME, Decisions, read_decisions, write_decisions


@pytest.mark.parametrize(
    ("task", "shape", "classes"),
    [
        ("classes", (40,), 7),
        ("classes", (40,), 300),
        ("binary", (40,), 1),
        ("tokens", (5, 8), 7),
        ("multilabel", (20, 2), 2),
    ],
)
def test_files_give_back_what_was_decided(task, shape, classes, tmp_path):
    source = torch.Generator().manual_seed(0)
    outputs = (3, *shape) if task == "multilabel" else (3, *shape, classes)
    logits = torch.randn(outputs, generator=source)
    labels = torch.randint(2 if task in ("binary", "multilabel") else classes, shape, generator=source)
    labels.flatten()[3] = -1
    found = Decisions.of(logits, labels, task)
    known = labels.flatten() >= 0
    best = (logits > 0).flatten(1) if classes == 1 or task == "multilabel" else logits.argmax(-1).flatten(1)
    torch.testing.assert_close(found.classes.long(), best[:, known].long())
    torch.testing.assert_close(found.labels.long(), labels.flatten()[known])
    write_decisions(tmp_path, {4: found, 11: Decisions.of(logits[:2], labels, task)})
    again = read_decisions(tmp_path)
    assert list(again) == [4, 11]
    assert len(again[11].classes) == 2
    torch.testing.assert_close(again[4].classes, found.classes)
    torch.testing.assert_close(again[4].correct, found.correct)
    torch.testing.assert_close(again[4].bins, found.bins)
    assert found.bins.shape == (3, 15, 3)
    torch.testing.assert_close(found.bins[..., 0].sum(-1), torch.full((3,), float(known.sum())))
    torch.testing.assert_close(found.bins[..., 2].sum(-1), found.correct.float().sum(-1))
    size = (tmp_path / "decisions.safetensors").stat().st_size
    assert (
        size < 7 * int(known.sum()) * (1 if classes <= 256 else 4) + 5 * 15 * 3 * 4 + 1300
    )  # and the bins of five networks


def test_what_is_correct_makes_the_accuracy():
    logits, labels = torch.randn(2, 50, 4), torch.randint(4, (50,))
    share = Decisions.of(logits, labels).correct.float().mean(1)
    torch.testing.assert_close(share, accuracy(logits, labels))


def test_a_folder_without_the_file_has_none(tmp_path):
    assert read_decisions(tmp_path) == {}


def test_a_file_of_before_has_no_bins(tmp_path):
    save_file({"0.classes": torch.zeros(2, 3).byte(), "0.labels": torch.zeros(3).byte()}, tmp_path / NAME)
    assert read_decisions(tmp_path)[0].bins is None
