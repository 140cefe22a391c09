"""The page of a fleet without a baseline, and the sections that it shares with a study's."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from codistill.analysis.judge import findings, merged
from codistill.analysis.peers import known_mean_sd
from codistill.report.analysis_tables import WATCH
from codistill.report.measures import measure_of_results
from codistill.report.numbers import count, decimal, listed, percent
from codistill.report.opening import opening
from codistill.report.page import Section, figures, records_table, settings_section, write_page
from codistill.report.plots.drawing import Plot
from codistill.report.plots.terms import Line, learning_figure, ratio_figure, validation_figure
from codistill.report.results import pairs_of
from codistill.run import Run
from codistill.study.results import Result, measured, networks_of, values_of
from codistill.study.summary import Summary
from codistill.training.results import NetworkResult
from codistill.training.sizes import Sizes


def write_run_report(
    runs: Sequence[Run],
    log: Sequence[Line],
    results: Sequence[Result],
    path: Path,
    sizes: Sizes | None = None,
    doubts: Sequence[str] = (),
    figures_in: Path | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write the report of a fleet: what was run, how it learned, how well it did.

    Args:
        runs: of the fleet.
        log: the lines of ``log.jsonl``.
        results: of its networks; none where it is not finished.
        path: of the html; folders that are missing are made.
        sizes: of the data and the training, where they are known.
        doubts: what speaks against it.
        figures_in: as of `write_page`.
        notes: sentences that the page says besides.

    Returns: `path`.
    """
    methods = list(dict.fromkeys(str(run.method) for run in runs))
    settings = [run.as_dict() for run in runs]
    same = {k: v for k, v in settings[0].items() if all(values[k] == v for values in settings)}
    differ = [{k: v for k, v in values.items() if k not in same} for values in settings]
    per_method = _per_method(results)
    sections = [
        Section(
            "Results",
            table=records_table("Results", [values for values, _ in per_method]),
            paragraphs=() if results else ("No results yet.",),
        ),
        Section("Figures", figures=figures(learning_curves(log, None), validation_curves(log, None))),
        imitation_section(log, None),
        similarity_section(results),
        settings_section(same, {}),
        Section("What differs between the runs", table=records_table("Runs", differ)),
        results_section(results),
    ]
    lead = [
        *(opening(settings[0], sizes) if sizes else ()),
        f"This is a report on {count(len(runs), 'run')} of {listed(methods)}, "
        f"{count(len({run.seed for run in runs}), 'seed')}.",
        *(sentence for _, sentence in per_method),
        *notes,
        "There is no baseline in it, so it cannot tell what mutual learning bought: for that, “codistill "
        "compare” trains the same networks alone.",
    ]
    return write_page(path, f"Training run: {listed(methods)}", lead, sections, doubts, figures_in)


def _per_method(results: Iterable[Result]) -> list[tuple[dict[str, object], str]]:
    """Of each method and part of the data, means over networks and seeds as a record and as a sentence."""
    groups: dict[tuple[str, str], list[NetworkResult]] = {}
    for result in measured(results):
        groups.setdefault((result.method, result.part), []).append(result)
    return [_means(method, part, group) for (method, part), group in groups.items()]


def _means(method: str, part: str, results: list[NetworkResult]) -> tuple[dict[str, object], str]:
    single, measure = networks_of(results), measure_of_results(results)
    mean, sd = known_mean_sd(values_of(single, measure.key))
    ensemble, _ = known_mean_sd(values_of([r for r in results if r.peer is None], measure.key))
    rank, ece = (known_mean_sd(values_of(single, key))[0] for key in ("cmc1", "ece"))
    beside = {"rank-1, %": rank, "ECE, %": ece, "ensemble, %": ensemble}
    record = {
        "method": method,
        "part": part,
        "networks": len(single),
        f"{measure.name}, %": percent(mean),
        "± sd": percent(sd),
        **{name: percent(value) for name, value in beside.items() if value is not None},
    }
    where = "" if measure.key == "accuracy" else f" on the {part} part"
    reached = f"{measure.reached(mean, f'the {part} examples')}{where} (mean over {count(len(single), 'network')})"
    together = "" if ensemble is None else f", used together {percent(ensemble)} %"
    return record, f"One network of {method} {reached}{together}."


def learning_curves(log: Sequence[Line], summary: Summary | None) -> tuple[str, str, Plot | None]:
    """The title, caption and plot of the terms by epoch."""
    caption = (
        "Training losses, mean over networks and seeds with a band of one standard deviation: the task loss "
        "compares with the labels, the imitation loss with what others predict or hold."
    )
    return "Learning curves", caption, learning_figure(log, summary)


def validation_curves(log: Sequence[Line], summary: Summary | None) -> tuple[str, str, Plot | None]:
    """The title, caption and plot of the accuracy on validation data by epoch, where it was measured."""
    caption = (
        "Mean over networks and seeds with a band of one standard deviation; the tables are of the test part, not "
        "of these data."
    )
    return "Accuracy on validation data", caption, validation_figure(log, summary)


def imitation_section(log: Sequence[Line], summary: Summary | None) -> Section:
    """What the KL watch found, and a plot of its main number; empty where nobody learns from others."""
    caption = (
        "All imitation losses of a network together, in percent of its task loss; mean over networks and seeds with a "
        "band of one standard deviation, on a logarithmic scale."
    )
    one_per_method = merged(findings(log))
    plot = ratio_figure(log, summary) if one_per_method else None
    drawn = figures(("Imitation loss relative to the task loss, by epoch", caption, plot))
    return Section(WATCH, "watch", findings=one_per_method, figures=drawn)


def similarity_section(results: Iterable[Result]) -> Section:
    """How much the networks of a cohort have in common; empty where there are no pairs."""
    records = [
        {
            "method": method,
            "same class, %": percent(pairs.agreement),
            "error correlation": decimal(pairs.error_correlation),
            "KL, nats": decimal(pairs.kl),
            "JS, nats": decimal(pairs.js),
        }
        for method, pairs in pairs_of(results).items()
    ]
    said = (
        "Two networks of a cohort on the same examples, the mean over pairs and seeds. The more similar they are, the "
        "less an ensemble of them gains. Error correlation: 1 where they err on exactly the same examples, 0 where "
        "they err independently; KL and JS: how far apart their posteriors are."
    )
    title = "Similarity of the networks of a cohort"
    return Section(title, paragraphs=(said,) if records else (), table=records_table(title, records))


def results_section(results: Iterable[Result]) -> Section:
    """All results as they are written, without the matrices of pairs."""
    records = [
        {**result.to_json(), "peer": "ensemble" if result.peer is None else result.peer} for result in measured(results)
    ]
    title = f"All results, per network: {count(len(records), 'line')}"
    return Section(title, table=records_table(title, records), folded=True)
