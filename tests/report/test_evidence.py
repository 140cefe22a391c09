import dataclasses

import pytest
import torch

from codistill import study as studies
from codistill.description import Description, Network, write_description
from codistill.report.evidence import Evidence, class_gains, disputed, evidence_of, lessons_of, reliability
from codistill.report.plots.evidence import MOST_CLASSES, class_figure, graph_figure, reliability_figure
from codistill.report.study_page import disputed_section
from codistill.training.decisions import Decisions
from report.conftest import lines_of, typed

NET = Network(0, 0, "kd", 0, "bigru", "BiGRU")


def decided(classes, labels=(0, 0, 1, 1, 1, 2)):
    return Decisions(torch.tensor(classes, dtype=torch.uint8), torch.tensor(labels, dtype=torch.uint8))


def test_gains_of_classes_are_differences_of_recalls(summary):
    alone = [decided([[0, 0, 1, 1, 1, 0]]), decided([[0, 1, 1, 0, 0, 0]])]
    pair = [decided([[0, 0, 1, 1, 0, 2], [0, 1, 1, 1, 1, 2]]), decided([[0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 2]])]
    found = class_gains(typed(summary), Evidence({"alone": alone, "dml:peers=2": pair}, ["cat", "dog"]))
    assert list(found) == ["dml:peers=2"]
    assert [(gain.name, gain.n) for gain in found["dml:peers=2"]] == [("cat", 2), ("dog", 3), ("2", 1)]
    assert [gain.alone for gain in found["dml:peers=2"]] == pytest.approx([3 / 4, 4 / 6, 0])
    assert [gain.recall for gain in found["dml:peers=2"]] == pytest.approx([7 / 8, 10 / 12, 3 / 4])
    plot = class_figure(typed(summary), found)
    assert plot.rows[0][:3] == ("DML, 2 networks", "cat", 2)
    assert [label.get_text() for label in plot.canvas().axes[0].get_yticklabels()] == ["cat", "dog", "2"]


def test_of_many_classes_those_that_moved_most_are_drawn_and_all_are_numbers(summary):
    labels = list(range(60))
    evidence = Evidence(
        {"alone": [decided([labels], labels)], "kd": [decided([[0] * 30 + labels[30:]], labels)]},
        [f"class {number}" for number in labels],
    )
    plot = class_figure(typed(summary), class_gains(typed(summary), evidence))
    assert len(plot.rows) == 60
    assert len(plot.canvas().axes[0].get_yticklabels()) == MOST_CLASSES


def test_no_gains_of_classes_without_the_baseline_or_with_several(summary):
    rows = {"dml:peers=2": [decided([[0, 0, 1, 1, 0, 2]])]}
    assert class_gains(typed(summary), Evidence(rows)) == {}
    summary["rows"][1]["alone"] = summary["rows"][0]["alone"] = True
    assert class_gains(typed(summary), Evidence(rows | {"alone": rows["dml:peers=2"]})) == {}


def of_two_kinds(summary):
    """A summary of cohorts of a cnn and an mlp, and what they decide."""
    first, second = summary["rows"][0], summary["rows"][2]
    summary["rows"] = [
        {**row, "method": f"{row['method']} [{kind}]", "label": f"{kind}, {row['label']}", "alone": row is first}
        for row in (first, second)
        for kind in ("cnn", "mlp:width=9")
    ]
    summary["baseline"] = "alone"
    rows = {
        "alone": [decided([[0, 0, 1, 1, 1, 2], [1, 1, 0, 0, 0, 0]])],
        "dml:peers=2": [decided([[0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 0, 0]])],
    }
    return typed(summary), Evidence(rows, models={row: ["cnn", "mlp:width=9"] for row in rows})


def test_networks_are_compared_with_those_of_their_own_kind(summary):
    found = class_gains(*of_two_kinds(summary))
    assert list(found) == ["dml:peers=2 [cnn]", "dml:peers=2 [mlp:width=9]"]
    assert [gain.gain for gain in found["dml:peers=2 [cnn]"]] == pytest.approx([-0.5, 0, 0])
    assert [gain.gain for gain in found["dml:peers=2 [mlp:width=9]"]] == pytest.approx([1, 0, 0])


def test_the_calibration_of_each_kind_is_its_own(summary):
    about, evidence = of_two_kinds(summary)
    bins = torch.zeros(2, 15, 3)
    bins[0, 3], bins[1, 9] = torch.tensor([4.0, 1.0, 2.0]), torch.tensor([8.0, 5.0, 5.0])
    rows = {"dml:peers=2": [dataclasses.replace(evidence.decisions["dml:peers=2"][0], bins=bins)]}
    found = reliability(about, dataclasses.replace(evidence, decisions=rows))
    assert {row: [(each.n, each.accuracy) for each in of_row] for row, of_row in found.items()} == {
        "dml:peers=2 [cnn]": [(4, 0.5)],
        "dml:peers=2 [mlp:width=9]": [(8, 0.625)],
    }


def test_kinds_of_networks_come_from_results(tmp_path, monkeypatch, summary):
    monkeypatch.setattr(studies, "decisions_of", lambda folder: {})
    about = {"method": "dml", "entry": "dml:peers=2", "peers": 2, "seed": 0, "networks": 1, "part": "test", "n": 9}
    lines = [{**about, "peer": 0, "model": "cnn"}, {**about, "peer": 1, "model": "mlp:start=alone,width=9"}]
    assert evidence_of(tmp_path, lines_of(lines)).models == {"dml:peers=2": ["cnn", "mlp:width=9"]}


def test_reliability_adds_networks_and_seeds(summary):
    source = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (50,), generator=source)
    logits = [torch.randn(2, 50, 3, generator=source) for _ in range(2)]
    cohorts = [Decisions.of(each, labels) for each in logits]
    (bins,) = reliability(typed(summary), Evidence({"alone": cohorts, "kd": [decided([[0] * 6])]})).values()
    assert sum(each.n for each in bins) == 200
    confidence = torch.cat(logits, 1).softmax(-1).amax(-1)
    right = torch.cat([each.correct for each in cohorts], 1)
    for each in bins:
        inside = (confidence > each.low) & (confidence <= each.high)
        assert int(inside.sum()) == each.n
        assert each.confidence == pytest.approx(float(confidence[inside].mean()), rel=1e-5)
        assert each.accuracy == pytest.approx(float(right[inside].double().mean()))
    assert len(reliability_figure(typed(summary), {"alone": bins}).rows) == len(bins)


def test_the_most_disputed_come_first(summary):
    pair = [decided([[0, 0, 1, 1, 0, 2], [0, 1, 1, 1, 2, 2]]), decided([[0, 0, 1, 1, 0, 2], [0, 0, 1, 1, 2, 2]])]
    other = decided([[1] * 6, [0] * 6], labels=[1] * 6)  # other examples: not to be mixed with them
    evidence = Evidence({"dml:peers=2": [*pair, other], "alone": [decided([[0] * 6, [1] * 6])]}, ["cat", "dog", "eel"])
    found = disputed(typed(summary), evidence)
    assert [(one.number, one.label, one.differ) for one in found] == [(4, 1, 1.0), (1, 0, 0.5)]
    assert dict(found[0].votes) == {0: 2, 2: 2}
    cells = [[cell.main for cell in row.cells] for row in disputed_section(found, evidence).table.rows]
    assert cells[1] == ["1", "cat", "50", "cat (3), dog (1)"]
    assert disputed_section([], evidence).empty


def test_who_learns_from_whom(summary):
    summary["rows"][2] |= {"method": "dml:peers=3,graph=star", "peers": 3, "label": "DML, star"}
    star, complete = lessons_of(typed(summary))
    assert [list(row) for row in star.weights] == [[0, 0.5, 0.5], [1, 0, 0], [1, 0, 0]]
    assert complete.label == "DML, 4 networks; DML_e, 4 networks"
    assert complete.weights[0] == pytest.approx((0, 1 / 3, 1 / 3, 1 / 3))
    plot = graph_figure([star])
    assert plot.rows == (
        ("DML, star", 0, 1, 0.5),
        ("DML, star", 0, 2, 0.5),
        ("DML, star", 1, 0, 1.0),
        ("DML, star", 2, 0, 1.0),
    )
    assert "network 0 learns from network 1 with weight 0.5" in plot.says
    assert len(plot.canvas().axes[0].patches) == 4
    assert graph_figure([]) is None


def test_what_a_folder_holds(monkeypatch, tmp_path):
    first, second = decided([[0] * 6]), decided([[1] * 6])
    kept = {("kd", 1, 0): second, ("kd", 0, 0): first}
    monkeypatch.setattr(studies, "load", lambda folder: folder)
    monkeypatch.setattr(studies, "parts", lambda study, folder: [studies.Part(folder / "parts" / "000", ())])
    monkeypatch.setattr(studies, "decisions_of", lambda folder: kept)
    assert evidence_of(tmp_path).decisions == {"kd": [first, second]}
    assert evidence_of(tmp_path).name(2) == "2"
    (tmp_path / "parts" / "000").mkdir(parents=True)
    about = Description("classes", 3, ("cat", "dog", "eel"), (5,), "int64", (), (), "digits", (NET,))
    write_description(tmp_path / "parts" / "000", about)
    assert evidence_of(tmp_path).name(2) == "eel"
