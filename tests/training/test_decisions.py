import pytest
import torch

from codistill.metrics.accuracy import accuracy
from codistill.training.decisions import Decisions, read_decisions, write_decisions


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
    size = (tmp_path / "decisions.safetensors").stat().st_size
    assert size < 7 * int(known.sum()) * (1 if classes <= 256 else 4) + 1000


def test_what_is_correct_makes_the_accuracy():
    logits, labels = torch.randn(2, 50, 4), torch.randint(4, (50,))
    share = Decisions.of(logits, labels).correct.float().mean(1)
    torch.testing.assert_close(share, accuracy(logits, labels))


def test_a_folder_without_the_file_has_none(tmp_path):
    assert read_decisions(tmp_path) == {}
