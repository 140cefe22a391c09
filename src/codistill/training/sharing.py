"""Runs that meet in a shared folder: each trains its own peers, and imitates the others as they last were there."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codistill.exchange.shared_folder import SharedFolder
from codistill.run import Run
from codistill.training.fleet import Fleet

MAY_DIFFER = ("data_root", "download", "device", "execute", "checkpoint_every", "checkpoint_steps", "evaluate_every")


@dataclass(frozen=True)
class Sharing:
    """A fleet's part in a shared folder.

    Raises:
        ValueError: several runs, or peers that the run has not.
    """

    folder: SharedFolder
    fleet: Fleet

    def __post_init__(self) -> None:
        if len(self.fleet.runs) > 1:
            raise ValueError(f"shared: {len(self.fleet.runs)} runs are trained as one: train one run in each process")

    def renew(self, step: int) -> Mapping[str, Any] | None:
        """Take over what the others have left, at the steps that `SharedFolder.every` divides; None at others.

        Returns: of every other peer, ``behind``, how many steps it had made less than this process has (more, where it
        is negative; None: nothing is there yet, and it is imitated with its initial weights), and ``age``, the seconds
        since it wrote that, by the clocks of both.
        """
        if step % self.folder.every:
            return None
        facts: dict[str, Any] = {"behind": {}, "age": {}}
        for peer in self.fleet.cohort.peers:
            if peer in self.folder.own:
                continue
            found = self.folder.newest(peer, fingerprint(self.fleet.run))
            if found is not None:
                self.fleet.cohort.load_peer_state(peer, found.tensors)
            facts["behind"][str(peer)] = None if found is None else step - found.step
            facts["age"][str(peer)] = None if found is None else round(time.time() - found.written, 3)
        return facts

    def publish(self, step: int) -> None:
        """Leave this process's peers after the steps that `SharedFolder.every` divides, and after the last."""
        if step % self.folder.every == 0 or step == self.fleet.total:
            for peer in self.folder.own:
                self.folder.publish(peer, step, self.fleet.cohort.peer_state(peer), fingerprint(self.fleet.run))


def fingerprint(run: Run) -> str:
    """Of the settings that processes must have in common."""
    settings = {name: value for name, value in run.as_dict().items() if name not in MAY_DIFFER}
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()
