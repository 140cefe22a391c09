"""The commands, one file and one class each: its fields are its options."""

from typing import Any

from codistill.cli.commands.analyze import Analyze
from codistill.cli.commands.compare import Compare
from codistill.cli.commands.copy import Copy
from codistill.cli.commands.doctor import Doctor
from codistill.cli.commands.evaluate import Evaluate
from codistill.cli.commands.export import Export
from codistill.cli.commands.list import List
from codistill.cli.commands.predict import Predict
from codistill.cli.commands.report import Report
from codistill.cli.commands.resume import Resume
from codistill.cli.commands.show import Show
from codistill.cli.commands.suspects import Suspects
from codistill.cli.commands.train import Train
from codistill.cli.commands.tune import Tune
from codistill.cli.commands.verify import Verify

COMMANDS: dict[str, Any] = {
    c.__name__.lower(): c
    for c in (
        *(Compare, Train, Resume, Evaluate, Predict, Export, Analyze, Suspects, Tune),
        *(Report, Verify, List, Show, Copy, Doctor),
    )
}
