import pytest
import torch
from torch import nn

from codistill import Cohort
from codistill.batch import PerPeer
from codistill.cohort.groups import CannotStack


class Branching(nn.Module):
    """Looks at a number before it goes on, which a stack of peers cannot."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        z = self.fc(x)
        return z if z.sum().item() > 0 else -z


@pytest.mark.parametrize("own", [False, True])
def test_the_error_of_networks_that_cannot_be_a_stack_says_what_to_do(own):
    cohort, x = Cohort([Branching(), Branching()], execute="stack"), torch.randn(2, 5, 4)
    with pytest.raises(CannotStack, match=r"execute='stack': .*cannot run as one.*item.*use execute='loop'"):
        cohort(PerPeer(x) if own else x[0])
    assert issubclass(CannotStack, ValueError)  # one line on the command line
    assert issubclass(CannotStack, NotImplementedError)  # auto tries the loop


def test_what_is_wrong_with_the_network_itself_is_not_blamed_on_the_stack():
    cohort = Cohort([nn.Linear(4, 3), nn.Linear(4, 3)], execute="stack")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as raised:
        cohort(torch.randn(5, 6))
    assert not isinstance(raised.value, CannotStack)
