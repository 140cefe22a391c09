"""The page that helps to choose a method: every figure on it is looked up in `benchmarks/results`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codistill.report.numbers import interval, known, percent, points, probability, times
from codistill.report.verdict import p_values
from codistill.spec import Spec
from codistill.study import Summary
from codistill.study.summary import SummaryRow

FAMILY = "family"


@dataclass(frozen=True)
class Situation:
    """What somebody has, what to take then, and what that is founded on."""

    having: str
    take: str
    measured: str
    cost: str


@dataclass(frozen=True)
class Results:
    """The kept comparisons of a folder."""

    folder: Path

    def summary(self, name: str) -> Summary:
        """Of a comparison."""
        return Summary.from_json((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    def row(self, name: str, method: str) -> SummaryRow:
        """Of a comparison, the row of this name."""
        return next(row for row in self.summary(name).rows if row.method == method)

    def gain(self, name: str, method: str) -> str:
        """Of a row, with its interval and a link."""
        return f"{gain_of(self.row(name, method))} ([{name}](../benchmarks/results/{name}.md))"

    def cost(self, name: str, method: str) -> str:
        """Of one network of a row: time where it was measured, else passes."""
        cost = self.row(name, method).cost
        if cost.seconds_per_network is not None:
            return f"{times(cost.seconds_per_network, 2)} times the time of training alone"
        return f"{times(cost.forward_per_network)} forward passes for each of training alone"


def gain_of(row: SummaryRow) -> str:
    """``+0.35 [+0.13, +0.57]``, or that it is the baseline."""
    return "baseline" if row.gain is None else f"{points(row.gain.mean)} {interval(row.gain.interval)}"


def situations(results: Results) -> list[Situation]:
    """The table's rows; those where peers know most come first."""
    return [*_different(results), *_doubtful(results), *_alike(results)]


def _different(results: Results) -> list[Situation]:
    """Peers that know different things."""
    dml, hard = "dml:peers=4,ramp=0.3", "dml:peers=2,ramp=0.3,target=hard"
    return [
        Situation(
            "labels that must stay with their owners, and samples without labels that all may see",
            "`dml:ramp=0.3` with `--shards`, see [silos.md](silos.md)",
            f"{results.gain('silos_skewed', dml)} where each owner knows 5 of 10 classes, {results.gain('silos', dml)} "
            "where each has 20 labels",
            results.cost("silos", dml),
        ),
        Situation(
            "networks that each see a part of the input",
            "`dml:ramp=0.3,target=hard`",
            f"left half {results.gain('views', f'{hard} [mlp:view=left]')}, right half "
            f"{results.gain('views', f'{hard} [mlp:view=right]')}",
            results.cost("views", f"{hard} [mlp:view=left]"),
        ),
    ]


def _doubtful(results: Results) -> list[Situation]:
    """Labels that are few, or wrong."""
    few, wrong = "few_labels", "wrong_labels"
    pseudo, peers = "pseudo:select=confident:0.7,ramp=0.3", "dml:peers=4,ramp=0.3,target=hard"
    return [
        Situation(
            "few labels, many samples without, one owner",
            f"`{pseudo}`: one network, no peers",
            f"{results.gain(few, pseudo)}; four peers with hard labels {results.gain(few, peers)}, no more",
            results.cost(few, pseudo),
        ),
        Situation(
            "wrong labels among the right ones",
            "one network with the best epoch on validation data, or more weight decay; then `jocor`",
            f"best epoch {results.gain(wrong, 'alone:keep=best_valid,evaluate_every=1')}, `jocor` "
            f"{results.gain(wrong, 'jocor:peers=2,rate=0.4')}, co-teaching "
            f"{results.gain(wrong, 'coteaching:peers=2,rate=0.4')}; "
            "[the question in full](how-much-of-co-teaching-is-co.md)",
            results.cost(wrong, "jocor:peers=2,rate=0.4") + " (`jocor`)",
        ),
    ]


def _alike(results: Results) -> list[Situation]:
    """Peers that know the same."""
    same, family = "digits", results.row(FAMILY, "dml:peers=4")
    together, alone = results.row(same, "dml:peers=4"), results.row(same, "alone")
    assert family.ensemble is not None
    return [
        Situation(
            "the same labels for all, one network to ship",
            "label smoothing first; `dml` if tenths of a point are worth it",
            f"label smoothing {results.gain(FAMILY, 'alone:label_smoothing=0.1')}, `dml` with four networks "
            f"{results.gain(FAMILY, 'dml:peers=4')} in one comparison and {results.gain(same, 'dml:peers=4')} in "
            "another: after Holm none of them is reliable",
            results.cost(FAMILY, "dml:peers=4"),
        ),
        Situation(
            "the same labels for all, several networks to ship",
            "an ensemble of networks trained alone",
            f"four trained alone reach {percent(family.ensemble.alone)} %, four trained by `dml` "
            f"{percent(family.ensemble.mean)} % together ([{FAMILY}](../benchmarks/results/{FAMILY}.md))",
            "1.00 times the time of training alone, and as many networks to run",
        ),
        Situation(
            "a model that is trained again every week, and users who mind when its answers change",
            "`dml`",
            f"four networks change {percent(together.churn)} % of their answers from one training to the next, trained "
            f"alone {percent(alone.churn)} % ([{same}](../benchmarks/results/{same}.md))",
            results.cost(same, "dml:peers=4"),
        ),
        Situation(
            "a teacher that is no better than its student",
            "nothing of the family",
            f"`kd` from networks trained alone {results.gain(FAMILY, 'kd:teacher=alone,graph=ring')}",
            results.cost(FAMILY, "kd:teacher=alone,graph=ring"),
        ),
    ]


def family_rows(results: Results) -> Iterator[tuple[str, ...]]:
    """A line for each method of the family: its gain at its defaults and tuned, its passes and its time."""
    rows: dict[str, list[SummaryRow]] = {}
    for row in results.summary(FAMILY).rows:
        options = Spec.of(row.method).options
        branched = " from a common trunk" if "branch_at" in options else ""
        rows.setdefault(f"`{Spec.of(row.method).name}`{branched}", []).append(row)
    for name, group in rows.items():
        plain = next((row for row in group if not row.tuned), group[0])
        tuned = [row for row in group if row.tuned and row.gain]
        best = max(tuned, key=lambda row: row.gain.mean if row.gain else 0.0, default=None)
        cost = plain.cost
        passes = f"{times(cost.forward_per_network)} / {times(cost.backward_per_network)}"
        yield (
            name,
            gain_of(plain),
            gain_of(best) if best else "-",
            passes,
            times(cost.seconds_per_network, 2) if known(cost.seconds_per_network) else "-",
        )


def measured_rows(method: str, results: Results) -> list[tuple[str, ...]]:
    """Of one method every row of the family's table: label, gain, p after Holm, passes and time."""
    summary = results.summary(FAMILY)
    p = p_values(summary)
    found: list[tuple[str, ...]] = []
    for row in summary.rows:
        if Spec.of(row.method).name == method:
            cost, after = row.cost, p.get(row.method)
            passes = f"{times(cost.forward_per_network)} / {times(cost.backward_per_network)}"
            label = f"{row.label}{' (tuned)' if row.tuned and '(tuned)' not in row.label else ''} `{row.method}`"
            shown = probability(after[0]) if after else "-"
            found.append((label, gain_of(row), shown, passes, times(cost.seconds_per_network, 2)))
    return found


def significant(results: Results) -> str:
    """How many gains of the family are left after Holm, in words."""
    summary = results.summary(FAMILY)
    p = p_values(summary)
    n = sum(row.gain is not None and row.gain.mean > 0 and p.get(row.method, (1.0,))[0] <= 0.05 for row in summary.rows)
    return "no" if n == 0 else str(n)


__all__ = ["FAMILY", "Results", "family_rows", "measured_rows", "significant", "situations"]
