import random

import pytest
import torch
from hypothesis import given, settings, strategies as st

from codistill.randomness import derive, generator, seeded

CPU = torch.device("cpu")
quick = settings(derandomize=True, deadline=None, max_examples=50)


def test_a_derived_seed_is_the_same_on_every_machine_and_version():
    # the first 8 bytes of blake2b("0/order/3"), without the sign bit
    assert derive(0, "order", 3) == 228291028133782092
    assert derive(0) != derive(1)


parts = st.one_of(st.integers(), st.from_regex(r"[a-z]{1,8}", fullmatch=True))


@given(seed=st.integers(), purpose=st.lists(parts, max_size=3), other=st.lists(parts, max_size=3))
@quick
def test_every_purpose_has_a_seed_of_its_own_that_torch_takes(seed, purpose, other):
    one, two = derive(seed, *purpose), derive(seed, *other)
    assert 0 <= one < 2**63
    assert (one == two) == (purpose == other)
    assert derive(seed + 1, *purpose) != one
    torch.Generator().manual_seed(one)


def test_a_generator_draws_the_same_again_and_another_purpose_something_else():
    one, again, other = (torch.rand(4, generator=generator(3, "order", e)) for e in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_seeded_draws_the_same_inside_and_leaves_the_outside_as_it_was():
    torch.manual_seed(0)
    expected = torch.rand(6)
    torch.manual_seed(0)
    first = torch.rand(3)
    with seeded(CPU, 5, "step", 1):
        inside = torch.rand(4)
    rest = torch.rand(3)
    assert torch.equal(torch.cat([first, rest]), expected)
    random.seed(1)
    with seeded(CPU, 5, "step", 1):
        assert torch.equal(torch.rand(4), inside)
    with seeded(CPU, 5, "step", 2):
        assert not torch.equal(torch.rand(4), inside)


def test_seeded_restores_the_outside_after_an_error():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with pytest.raises(KeyError), seeded(CPU, 5):
        raise KeyError
    assert torch.equal(torch.rand(3), expected)
