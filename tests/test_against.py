"""How many predictions change from one run to another, from Python and from the command line."""

import pytest
import torch
from scipy.stats import binomtest

from codistill.cli import main
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.evaluate import changes, predictions
from codistill.training.loop import train
from codistill.training.records import logged

RUN = Run(models=("cnn:width=4",), labels=60, batch=20, epochs=1, valid=50, execute="loop", device="cpu")


def test_networks_are_compared_with_those_of_the_same_seed_and_number():
    before = build_fleet([RUN.replace(seed=1), RUN.replace(seed=2)])
    after = build_fleet([RUN.replace(seed=2, method="alone", peers=3), RUN.replace(seed=4, method="alone", peers=3)])
    with torch.no_grad():
        for leaf in after.turns[0].leaves:
            leaf.tensor.add_(0.1 * torch.randn(leaf.tensor.shape, generator=torch.Generator().manual_seed(0)))
    rows = changes(before, after, "valid")
    assert [(r.peer, r.n) for r in rows] == [(0, 50), (1, 50)]
    assert all("seed=2" in r.run and "seed=2" in r.against for r in rows)
    (_, old, y) = predictions(before, "valid")[1]
    (_, new, _) = predictions(after, "valid")[0]
    for row in rows:
        a, b = old[row.peer].argmax(1), new[row.peer].argmax(1)
        assert row.changed == pytest.approx((a != b).double().mean().item())
        assert row.lost == pytest.approx(((a == y) & (b != y)).double().mean().item())
        assert row.gained == pytest.approx(((a != y) & (b == y)).double().mean().item())
        lost, gained = int(((a == y) & (b != y)).sum()), int(((a != y) & (b == y)).sum())
        assert row.p == (binomtest(gained, lost + gained).pvalue if lost + gained else 1.0)
    assert any(row.changed for row in rows)


def test_single_runs_are_compared_whatever_their_seeds_but_on_the_same_examples():
    one, two = build_fleet([RUN]), build_fleet([RUN.replace(seed=1)])
    assert len(changes(one, two, "test")) == 2
    with pytest.raises(ValueError, match="have other examples in part='valid': .* or part=test"):
        changes(one, two, "valid")
    three = build_fleet([RUN.replace(seed=s) for s in (2, 3)])
    with pytest.raises(ValueError, match="no run of the one has the seed of a run of the other"):
        changes(one, three, "test")


def test_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    for name, method in (("a", "dml"), ("b", "alone")):
        list(logged(train(RUN.replace(method=method), tmp_path / name), tmp_path / name))
    main(["evaluate", str(tmp_path / "a"), "--against", str(tmp_path / "b")])
    text = capsys.readouterr().out
    assert "valid part, 50 examples" in text
    assert "changed %" in text
    assert "exact McNemar test" in text
    main(["evaluate", str(tmp_path / "a"), "--part", "test"])
    text = capsys.readouterr().out
    assert "top-5 %" in text
    assert "two networks agree on" in " ".join(text.split())
    with pytest.raises(SystemExit, match="is not the folder of a run"):
        main(["evaluate", str(tmp_path / "a"), "--against", str(tmp_path / "c")])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "study.json").write_text("{}")
    with pytest.raises(SystemExit, match="is a comparison: give two runs, such as .*parts/000"):
        main(["evaluate", str(tmp_path / "a"), "--against", str(tmp_path / "c")])
