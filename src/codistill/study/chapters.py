"""Several studies one after the other, in folders of their own within one."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
                    (folder / FILE).write_text(self.to_json(), encoding="utf-8")
                yield record

    def to_json(self) -> str:
        """The text of the file."""
        studies = {name: study.as_dict() for name, study in self.studies.items()}
        return json.dumps({"command": self.command, "studies": studies}, indent=1) + "\n"


def is_chapters(folder: Path) -> bool:
    """Whether there are several studies in a folder."""
    return (folder / FILE).is_file()


def load_chapters(folder: Path) -> Chapters:
    """The studies of a folder."""
    values = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Chapters({name: Study.from_dict(each) for name, each in values["studies"].items()}, values["command"])


__all__ = ["FILE", "Chapters", "is_chapters", "load_chapters"]
