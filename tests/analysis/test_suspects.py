"""What all peers dispute: by a naive second implementation, and against noise that was injected."""

import csv
import re

import pytest
import torch

from codistill import cli
from codistill.analysis.suspects import Suspects, margins, ranked, suspects
from codistill.data import load
from codistill.report.suspects_page import records, said, write_suspects
from codistill.run import Run
from codistill.training.loop import train


def naive_margin(z, label):
    p = [float(v) for v in torch.softmax(z, 0)]
    return max(value for c, value in enumerate(p) if c != label) - p[label]


def test_margins_and_order_are_the_naive_ones():
    z = torch.randn(3, 40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.randint(4, (40,), generator=torch.Generator().manual_seed(1))
    naive = [[naive_margin(z[i, n], int(y[n])) for n in range(40)] for i in range(3)]
    torch.testing.assert_close(margins(z, y), torch.tensor(naive, dtype=torch.float64))
    disputed = [n for n in range(40) if all(int(z[i, n].argmax()) != int(y[n]) for i in range(3))]
    order = sorted(disputed, key=lambda n: -sum(naive[i][n] for i in range(3)))
    assert 5 < len(order) < 40
    assert ranked(z, y).tolist() == order


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A cohort that has learned digits of which a fifth is labelled wrongly."""
    folder = tmp_path_factory.mktemp("noisy")
    how = {"models": ("mlp:hidden=32",), "learning_rate": 0.1, "batch": 50, "epochs": 8, "valid": 100}
    for _ in train(Run(data="digits", method="dml", peers=2, noise="symmetric:0.2", **how), folder):
        pass
    return folder


def test_most_of_what_all_peers_dispute_is_wrong(noisy):
    (found,) = suspects(noisy)
    assert found.examples == 900
    assert 0.15 < found.noisy < 0.25
    assert len(found.found) > 0.6 * found.noisy * found.examples
    assert found.precision > 3 * found.noisy
    clean = load("digits").train.y
    wrong = [clean[one.index] != int(one.label) for one in found.found]
    assert wrong == [one.changed for one in found.found]
    assert found.precision == sum(wrong) / len(wrong)
    fixed = sum(int(clean[one.index]) == int(one.predicted) for one in found.found if one.changed)
    assert fixed > 0.8 * sum(wrong)
    assert [one.rank for one in found.found] == list(range(1, len(wrong) + 1))
    assert sum(wrong[: len(wrong) // 4]) / (len(wrong) // 4) > found.precision - 0.05
    picture = load("digits").train.x[found.found[0].index] / 255
    torch.testing.assert_close(found.images[0], picture.float())


def test_the_command_writes_a_table_and_a_page(noisy, capsys):
    cli.main(["suspects", str(noisy), "--shown", "5"])
    printed = " ".join(capsys.readouterr().out.split())
    (found,) = suspects(noisy)
    assert re.search(rf"all 2 peers dispute {len(found.found)} of 900 labels; noise has changed \d+", printed)
    with (noisy / "suspects.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == [one.index for one in found.found]
    assert set(rows[0]) == {
        "run", "rank", "index", "label", "predicted", "margin", "p_label", "p_predicted", "changed",
    }  # fmt: skip
    page = (noisy / "suspects.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 5
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_texts_are_shown_as_texts(tmp_path, monkeypatch):
    pytest.importorskip("tokenizers", reason="needs the extra text")
    monkeypatch.setenv("CODISTILL_CACHE", "")
    lines = ["text,label", *("good film,pos" for _ in range(30)), *("bad film,neg" for _ in range(30))]
    lines[5], lines[40] = "good film,neg", "bad film,pos"
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = Run(
        data="table:min_count=1,length=4,test=0.1",
        data_root=str(tmp_path),
        models=("bilstm:hidden=8,embedding=8,layers=1",),
        peers=2,
    )
    run = run.replace(method="dml", epochs=6, batch=9, optimizer="adam", learning_rate=0.03)
    for _ in train(run, tmp_path / "run"):
        pass
    (found,) = suspects(tmp_path / "run")
    assert {(one.text, one.label, one.predicted) for one in found.found} <= {
        ("good film", "neg", "pos"), ("bad film", "pos", "neg"),
    }  # fmt: skip
    assert found.found
    assert found.precision is None
    assert found.found[0].changed is None
    write_suspects([found], tmp_path)
    assert "good film" in (tmp_path / "suspects.csv").read_text() + "bad film"
    assert set(records(found)[0]) == {"rank", "index", "label", "predicted", "margin", "p_label", "p_predicted", "text"}


def test_nothing_disputed_is_said(tmp_path):
    none = Suspects(Run(method="alone", peers=1), 10, 0.0, (), None)
    assert said(none).endswith("its network disputes 0 of 10 labels.")
    table, page = write_suspects([none], tmp_path)
    assert table.read_text().strip() == "run,rank,index,label"
    assert page.exists()
