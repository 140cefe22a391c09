import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from codistill.cohort import Cohort
from codistill.models import build, count_parameters
from codistill.models.vit import Attention, Block


def arithmetic(classes, tokens=65, patch=4, width=192, depth=12):
    block = 2 * 2 * width + (width + 1) * 3 * width + (width + 1) * width + 2 * 4 * width * width + 5 * width
    start = 3 * patch * patch * width + width + width + tokens * width
    return start + depth * block + 2 * width + width * classes + classes


@pytest.mark.parametrize(("classes", "count"), [(10, 5_362_762), (100, 5_380_132)])
def test_counts(classes, count):
    assert arithmetic(classes) == count
    with torch.device("meta"):
        assert count_parameters(build("vit_tiny", classes, (3, 32, 32))) == count


@pytest.mark.parametrize("classes", [10, 20])
def test_counts_of_the_micro_size(classes):
    assert count_parameters(build("vit_micro", classes, (3, 32, 32))) == arithmetic(classes, width=64, depth=6)


def test_attention_is_torchs_own():
    torch.manual_seed(0)
    ours, theirs = Attention(12, 3).double(), nn.MultiheadAttention(12, 3, batch_first=True).double()
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])


def test_a_block_is_its_equation():
    torch.manual_seed(0)
    block = Block(6, 2, 0.0).double()
    x = torch.randn(2, 4, 6, dtype=torch.float64)

    def normalised(z):
        return (z - z.mean(-1, keepdim=True)) / (z.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()

    q, k, v = F.linear(normalised(x), block.attention.qkv.weight, block.attention.qkv.bias).chunk(3, dim=-1)
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        scores = torch.einsum("bid,bjd->bij", q[..., head], k[..., head]) / math.sqrt(3)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        heads.append(torch.einsum("bij,bjd->bid", weights, v[..., head]))
    y = x + F.linear(torch.cat(heads, -1), block.attention.out.weight, block.attention.out.bias)
    hidden = F.linear(normalised(y), block.mlp.linear1.weight, block.mlp.linear1.bias)
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    torch.testing.assert_close(block(x), y + F.linear(hidden, block.mlp.linear2.weight, block.mlp.linear2.bias))


def test_tokens_are_the_squares_row_by_row_after_the_class_token():
    net = build("small_models:transformer", 5, (3, 8, 12), seed=0).double()
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    patches, weight = net.patches, net.patches.conv.weight.reshape(12, -1)
    tokens = [patches.first[0].expand(2, 12)]
    for row in (0, 4):
        for column in (0, 4, 8):
            square = x[:, :, row : row + 4, column : column + 4].reshape(2, -1)
            tokens.append(square @ weight.T + patches.conv.bias)
    torch.testing.assert_close(patches(x), torch.stack(tokens, 1) + patches.positions)


def test_shapes_at_each_stage_and_the_class_token_is_what_is_classified():
    net, seen = build("vit_tiny", 10, (3, 32, 32), seed=0), {}
    for name in ("patches", "stage1", "stage2", "stage3", "pool"):
        module = net.get_submodule(name)
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    z = net(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    sizes = {name: tuple(out.shape) for name, out in seen.items()}
    assert sizes == {**dict.fromkeys(("patches", "stage1", "stage2", "stage3"), (2, 65, 192)), "pool": (2, 192)}
    assert sum(isinstance(module, Block) for module in net.modules()) == 12
    last = F.layer_norm(seen["stage3"][:, 0], (192,), net.norm.weight, net.norm.bias)
    torch.testing.assert_close(z, F.linear(last, net.fc.weight, net.fc.bias))
    z.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())


def test_large_images_have_larger_squares():
    with torch.device("meta"):
        net = build("vit_tiny:patch=16", 10, (3, 224, 224))
        assert net.patches.positions.shape == (1, 1 + 14 * 14, 192)
        assert net(torch.zeros(2, 3, 224, 224)).shape == (2, 10)


@pytest.mark.parametrize("mode", [True, False])
def test_a_stack_runs_it_without_a_warning_and_taps_it(mode):
    nets = [build("small_models:transformer", 5, (3, 8, 8), seed=seed) for seed in range(2)]
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for execute in ("loop", "stack"):
        cohort = Cohort(nets, execute=execute).train(mode)
        cohort.tap("stage2")
        found.append(cohort(x))
    torch.testing.assert_close(found[0].logits, found[1].logits)
    torch.testing.assert_close(found[0].features["stage2"], found[1].features["stage2"])


def test_dropout_draws_in_training_only():
    torch.manual_seed(0)
    net = build("vit_tiny:dropout=0.1", 4, (3, 8, 8), seed=0)
    assert len([m for m in net.modules() if isinstance(m, nn.Dropout)]) == 1 + 2 * 12
    x = torch.randn(2, 3, 8, 8)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))
