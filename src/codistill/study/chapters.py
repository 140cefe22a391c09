"""Several studies one after the other, in folders of their own within one."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codistill import files
from codistill.files import said
from codistill.study import compare
from codistill.study.entries import Study

if TYPE_CHECKING:
    from collections.abc import Generator

    from codistill.training.records import Record

FILE = "chapters.json"


@dataclass(frozen=True)
class Chapters:
    """Studies by the names of their folders, and the command that asked for them."""

    studies: Mapping[str, Study]
    command: str = ""

    def begin(self, name: str, folder: Path) -> "Generator[Record, None, None]":
        """Run one of them, or resume it; the list of all is written when the first has begun."""
        study, inner = self.studies[name], folder / name
        there = (inner / "study.json").exists()
        with closing(compare(study, inner, go_on=there, command=self.command)) as records:
            for record in records:
                if not (folder / FILE).exists():  # only now: invalid settings leave no folder behind
                    files.write_json(folder / FILE, self.as_dict())
                yield record

    def as_dict(self) -> Mapping[str, Any]:
        """For JSON."""
        return {"command": self.command, "studies": {name: study.as_dict() for name, study in self.studies.items()}}


def is_chapters(folder: Path) -> bool:
    """Whether there are several studies in a folder."""
    return (folder / FILE).is_file()


def names_of(folder: Path) -> tuple[list[str], str]:
    """The names of the studies of a folder, and the command that asked for them; nothing that they name is imported.

    Raises:
        Damaged: the file is damaged, or a name leads out of the folder.
    """
    values = files.read_json(folder / FILE)
    if not isinstance(studies := values.get("studies") or {}, dict):
        raise files.Damaged(f"{folder / FILE} is damaged: studies is a {type(studies).__name__}")
    names = list(studies)
    if strange := [name for name in names if name in ("", ".", "..") or Path(name).name != name]:
        raise files.Damaged(f"{folder / FILE} is damaged: {strange[0]!r} is no name of a folder")
    return names, str(values.get("command", ""))


def load_chapters(folder: Path) -> Chapters:
    """The studies of a folder."""
    path = folder / FILE
    values = files.read_json(path)
    try:
        return Chapters({name: Study.from_dict(each) for name, each in values["studies"].items()}, values["command"])
    except (TypeError, AttributeError, KeyError) as error:
        raise files.Damaged(f"{path} is damaged: {said(error)}") from error


__all__ = ["FILE", "Chapters", "is_chapters", "load_chapters", "names_of"]
