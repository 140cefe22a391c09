"""A trained network, or the ensemble of a cohort, as an ordinary module."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from codistill.cohort.groups import call
from codistill.deployment.preprocessing import Preprocessing
from codistill.losses.posterior import full_precision, log_posterior
from codistill.metrics.decisions import class_logits
from codistill.metrics.posterior import mean_posterior
from codistill.metrics.retrieval import concatenated


class Embedding(nn.Module):
    """A network's embeddings ``[B, D]``: the output of one of its submodules, flat.

    Args:
        network: the trained one.
        submodule: its name, as of `Run.embedding`.
    """

    def __init__(self, network: nn.Module, submodule: str) -> None:
        super().__init__()
        self.network, self.submodule = network, submodule

    def forward(self, x: Tensor) -> Tensor:
        """Inputs ``[B, *shape]`` to embeddings ``[B, D]``."""
        _, features = call(self.network, None, x, [self.submodule])
        return full_precision(features[self.submodule]).flatten(1)


class Logits(nn.Module):
    """A network's logits as a tensor, also where it returns an object that has them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Inputs ``[B, *shape]`` to logits ``[B, classes]``."""
        logits, _ = call(self.network, None, x, [])
        return full_precision(logits)


class Ensemble(nn.Module):
    """Networks used together, as evaluation does: the mean of their probabilities, or their embeddings side by side.

    Probabilities come out as logits, of which softmax (sigmoid, where the task is binary or multilabel) is the mean:
    for classes that is the log of the mean, log((1/P) sum_i p_i).

    Args:
        members: modules that give logits ``[B, ...]`` each, or embeddings ``[B, D_i]``.
        task: of the data; None: they give embeddings.
    """

    def __init__(self, members: Sequence[nn.Module], task: str | None) -> None:
        super().__init__()
        self.members, self.task = nn.ModuleList(members), task

    def forward(self, x: Tensor) -> Tensor:
        """Inputs ``[B, *shape]`` to logits ``[B, ...]``, or to embeddings ``[B, D_1 + D_2 + ...]``."""
        outputs = [member(x) for member in self.members]
        if self.task is None:
            return concatenated(outputs)
        mean = mean_posterior(class_logits(torch.stack(outputs), self.task))
        if self.task == "binary":
            return mean[..., 1:] - mean[..., :1]
        return mean[..., 1] - mean[..., 0] if self.task == "multilabel" else mean


class Trained(nn.Module):
    """A trained network, or an ensemble, with all that belongs to its use; in eval mode.

    Args:
        network: gives logits, or embeddings where the data are retrieval data.
        preprocess: from raw inputs to what `forward` takes.
        name: what it is, ``network 1 (cnn)``.
        chosen: why it was taken.

    Attributes:
        classes: names of the classes; of both label values where the task is binary.
        task: ``classes``, ``binary``, ``multilabel`` or ``tokens``.
        embeds: whether `forward` gives embeddings, not logits.
    """

    def __init__(self, network: nn.Module, preprocess: Preprocessing, name: str, chosen: str) -> None:
        super().__init__()
        about = preprocess.about
        self.network, self.preprocess = network, preprocess
        self.name, self.chosen = name, chosen
        self.classes, self.task, self.embeds = about.label_names, about.task, about.embedding is not None
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where it computes; inputs are brought there."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))

    @property
    def members(self) -> list[nn.Module]:
        """The networks as they were trained: one, or those of the ensemble."""
        module = self.network
        members = list(module.members) if isinstance(module, Ensemble) else [module]
        return [member.get_submodule("network") for member in members]

    def forward(self, x: Tensor) -> Tensor:
        """What `preprocess` gives, ``[B, *shape]``, to logits ``[B, classes]`` (or embeddings ``[B, D]``)."""
        logits: Tensor = self.network(x if x.device == self.device else x.to(self.device))
        return logits

    def probabilities(self, x: Tensor) -> Tensor:
        """As `forward`, the probability of every class: ``[B, classes]``; of both label values where it is binary.

        Raises:
            ValueError: it gives embeddings.
        """
        if self.embeds:
            raise ValueError("a network of retrieval data gives embeddings, which have no probabilities: call it")
        posterior = log_posterior(self(x), self.task).exp()
        if self.task == "binary":
            return posterior.squeeze(-2)
        return posterior[..., 1] if self.task == "multilabel" else posterior


def module_of(networks: Sequence[nn.Module], embedding: str | None, task: str, *, ensemble: bool) -> nn.Module:
    """One of the networks as a module that gives a tensor, or all of them as an ensemble."""
    members: list[nn.Module] = [Logits(n) if embedding is None else Embedding(n, embedding) for n in networks]
    return Ensemble(members, None if embedding else task) if ensemble else members[0]
