"""The two listings that say how the library reads work as they are written."""

import pytest
import torch
from torch import nn

from codistill import DML, Batch, Cohort, Method, Needs, along, kl, label_loss


class Listed(Method):
    """Every peer imitates every other peer.  L_i = CE(z_i, y) + w * sum_j W_ij KL(p_j || p_i)
    Zhang et al., CVPR 2018, arXiv:1706.00384."""

    needs, weight = Needs(peers=True), 1.0

    def forward(self, cohort, batch, progress=None):
        z = cohort(batch.x).logits  # [P, B, C]
        return {
            "task": label_loss(z, batch),
            "mimic": self.weight * along(self.graph, kl, students=z, sources=cohort.share(z), of=batch),
        }


@pytest.mark.parametrize("kind", [Listed, DML])
def test_a_loop_of_your_own_learns(kind):
    torch.manual_seed(0)
    net_a, net_b = nn.Linear(4, 3), nn.Linear(4, 3)
    loader = [(torch.randn(8, 4), torch.randint(0, 3, (8,)))] * 20
    optimizer = torch.optim.SGD([*net_a.parameters(), *net_b.parameters()], lr=0.5)
    losses = []

    cohort = Cohort([net_a, net_b])
    method = kind()
    for x, y in loader:
        terms = method(cohort, Batch(x, y))
        loss = sum(t.sum() for t in terms.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_both_say_the_same():
    torch.manual_seed(0)
    cohort, batch = Cohort([nn.Linear(4, 3), nn.Linear(4, 3)]), Batch(torch.randn(8, 4), torch.randint(0, 3, (8,)))
    for name, term in Listed()(cohort, batch).items():
        torch.testing.assert_close(term, DML()(cohort, batch)[name])
