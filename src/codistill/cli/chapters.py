"""``compare`` with several recipes: one after the other, each in a folder of its own, and one page of all."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from codistill.cli.finish import dry_run, end, follow, form_of
from codistill.cli.settings import modules_of_study
from codistill.cli.spread import check_one_recipe

if TYPE_CHECKING:
    from rich.console import Console

    from codistill.cli.commands.compare import Compare
    from codistill.report.progress import Form
    from codistill.study.chapters import Chapters


def folder_name(recipe: str) -> str:
    """The folder of a recipe's comparison, where none is named."""
    return re.sub(r"[^\w.=-]+", "-", recipe)


@dataclass(frozen=True)
class CompareSeveral:
    """`Compare` of several recipes; each has the settings that were given, and its recipe's for the rest."""

    each: Sequence["Compare"]

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.discovery import trusting
        from codistill.study.chapters import Chapters

        first = self.each[0]
        check_one_recipe(first.on)
        names = list(map(folder_name, first.recipe))
        if twice := next(
            (recipe for recipe, name in zip(first.recipe, names, strict=True) if names.count(name) > 1), ""
        ):
            raise ValueError(f"recipe={twice!r} is given twice: leave one out")
        studies = [one.study(recipe) for one, recipe in zip(self.each, first.recipe, strict=True)]
        chapters = Chapters(dict(zip(names, studies, strict=True)), command)
        with trusting({name for study in studies for name in modules_of_study(study)}):
            self._run(chapters, console)

    def _run(self, chapters: "Chapters", console: "Console") -> None:
        """Run, resume or try them."""
        from codistill.study import compare
        from codistill.study.chapters import is_chapters, load_chapters

        first = self.each[0]
        form = form_of(first.quiet, first.json)
        if first.dry_run:
            for name, study in chapters.studies.items():
                console.rule(name, align="left")
                dry_run(partial(compare, study), console, form)
            return
        folder = first.runs / (first.name or "+".join(chapters.studies))
        if is_chapters(folder) and first.if_exists == "resume":
            if dict(load_chapters(folder).studies) != dict(chapters.studies):
                raise FileExistsError(f"{folder} holds other comparisons or settings: choose another --name")
        elif folder.exists() and any(folder.iterdir()):
            go_on = ", or --if-exists resume to go on with it" if is_chapters(folder) else ""
            raise FileExistsError(f"{folder} already exists: choose another --name{go_on}")
        run_chapters(chapters, folder, console, form, first.track)


def check_single(folder: Path) -> None:
    """Raises a ValueError where a folder holds several comparisons."""
    from codistill.study.chapters import is_chapters, names_of

    if is_chapters(folder):
        name = next(iter(names_of(folder)[0]))
        raise ValueError(f"{folder} holds several comparisons: give one of them, such as {folder / name}")


def run_chapters(
    chapters: "Chapters", folder: Path, console: "Console", form: "Form" = "lines", track: Sequence[str] = ()
) -> None:
    """Run or resume all of them, and write the page; see `watch` for the form.

    Raises:
        SystemExit: in one of them nothing was learnt, see `end`.
    """
    from rich.console import Console

    from codistill.report.titles import title_of

    if form != "lines":
        console = Console(quiet=True)
    learnt = []
    for number, (name, study) in enumerate(chapters.studies.items(), start=1):
        rows = [(str(entry.method), entry.label) for entry in study.entries]
        title = title_of(study.question, rows, study.base.data)
        console.rule(f"{number} of {len(chapters.studies)}: {title}", align="left")
        records = chapters.begin(name, folder)
        learnt.append(follow(records, folder / name, console, form, chapter_of=folder, track=track))
    write_page_of(folder, console)
    end(all(learnt))


def write_page_of(folder: Path, console: "Console", figures: bool = False) -> None:
    """Write the page of all comparisons in a folder, and print what was learnt.

    Args:
        folder: of all of them.
        console: to print to.
        figures: whether its figure is written as files too, and those of each comparison in its folder.

    Raises:
        FileNotFoundError: one of them is not finished.
    """
    from codistill.report.lessons import lead, lessons_table
    from codistill.report.table import terminal
    from codistill.report.writing import write_several

    page, lessons = write_several(folder, figures)
    console.rule("All of them", align="left")
    console.print(terminal(lessons_table(lessons)))
    for sentence in lead(lessons):
        console.print(sentence, markup=False)
    console.print(f"\nReport: {page}", soft_wrap=True)
    if figures:
        homes = folder, *(folder / lesson.name for lesson in lessons)
        console.print(f"Figures: {', '.join(str(home / 'figures') for home in homes)}", soft_wrap=True)


__all__ = ["CompareSeveral", "check_single", "folder_name", "run_chapters", "write_page_of"]
