"""Features of students and of what they imitate."""

import pytest
import torch
from torch import nn

from codistill import models
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.spec import UnknownName
from methods.references import small, training_of

X = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
BATCH = Batch(X, torch.arange(6))


def nets(*specs):
    return [models.build(spec, 10, (1, 8, 8), seed=i) for i, spec in enumerate(specs)]


def test_features_come_by_name_in_order_detached_on_the_sources_side():
    cohort, teacher = Cohort(nets("cnn", "cnn")), Cohort(nets("cnn:width=6")).freeze()
    method = get("fitnet", teacher=teacher, features="stage3/fc:input")
    method.prepare(cohort, BATCH)
    pairs = method.pairs(*method.students_and_sources(cohort, BATCH))
    assert [(p.name, p.students.shape, p.sources.shape) for p in pairs] == [
        ("stage3", (2, 6, 16, 4, 4), (1, 6, 12, 4, 4)),
        ("fc:input", (2, 6, 16), (1, 6, 12)),
    ]
    assert all(p.students.requires_grad and not p.sources.requires_grad for p in pairs)
    torch.testing.assert_close(pairs[1].students[1], pairs[0].students[1].mean((2, 3)))


def test_preparing_leaves_batch_statistics_and_the_generator_alone():
    dropped = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 10))
    cohort = Cohort([dropped])
    before, state = {n: t.clone() for n, t in dropped.state_dict().items()}, torch.get_rng_state()
    get("fitnet:features=2", teacher=None).prepare(cohort, BATCH)
    assert torch.equal(state, torch.get_rng_state())
    torch.testing.assert_close(dict(dropped.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["fitnet", "ofd"])
def test_a_submodule_that_is_not_there_is_an_error_before_the_first_step(name):
    method = get(name, teacher=None, features="stage1/stagge2")
    with pytest.raises(UnknownName, match="no submodule of Sequential is called 'stagge2': did you mean 'stage2'"):
        method.prepare(Cohort(nets("cnn", "cnn")), BATCH)


def test_a_submodule_that_only_the_teacher_lacks_is_said_too():
    teacher = Cohort(nets("mlp")).freeze()
    with pytest.raises(UnknownName, match="no submodule of Sequential is called 'stage3': did you mean 'stage"):
        get("fitnet", teacher=teacher).prepare(Cohort(nets("cnn", "cnn")), BATCH)


def test_a_submodule_that_is_not_there_is_said_by_a_run():
    for method in ("at", "nst", "ofd", "afd", "fitnet"):
        with pytest.raises(UnknownName, match="no submodule of Sequential is called 'stage3': did you mean 'stage"):
            training_of(f"{method}:teacher=none,features=stage3", models=("mlp",))


@pytest.mark.parametrize("names", ["", "stage1/", "stage1/stage1", "/"])
def test_invalid_names(names):
    with pytest.raises(ValueError, match="features='.*': give each name once, joined by /, as stage1/stage2"):
        get("fitnet", teacher=None, features=names)


def test_it_has_to_be_prepared():
    for method in ("at", "rkd", "ofd"):
        with pytest.raises(ValueError, match=r"call method.prepare\(cohort, batch\) before the first step"):
            get(method, teacher=None)(Cohort(nets("cnn", "cnn")), BATCH)


def test_a_mask_is_refused():
    cohort, batch, method = small("fitnet")
    with pytest.raises(ValueError, match="batch.mask: features of all samples are compared; leave out of the batch"):
        method(cohort, Batch(batch.x, batch.y, mask=torch.ones(6)))


def test_the_error_of_maps_of_other_sizes_than_the_teachers_says_whose_they_are():
    teacher = Cohort(nets("resnet20")).freeze()
    get("at", teacher=teacher, features="stage2").prepare(Cohort(nets("cnn")), BATCH)  # 4 x 4 both
    said = r"feature 'stage3' is \[16, 4, 4\] in peer 0 and \[64, 2, 2\] in teacher 0: .* set features \(now stage3\)"
    with pytest.raises(ValueError, match=said):
        get("at", teacher=teacher, features="stage3").prepare(Cohort(nets("cnn")), BATCH)


def test_peers_without_an_edge_need_not_fit():
    graph = [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    cohort = Cohort(nets("cnn", "cnn", "resnet20"))
    method = get("at", teacher=None, graph=graph)
    method.prepare(cohort, BATCH)
    terms = method(cohort, BATCH)
    assert terms["mimic"][2] == 0.0
    assert (terms["mimic"][:2] > 0).all()


def test_alone_there_is_nothing_to_imitate():
    for name in ("logits", "fitnet", "at", "nst", "rkd", "ofd", "afd"):
        cohort = Cohort(nets("cnn"))
        method = get(name, teacher=None)
        method.prepare(cohort, BATCH)
        terms = method(cohort, BATCH)
        assert terms["mimic"].tolist() == [0.0]
        sum(t.sum() for t in terms.values()).backward()


def test_half_precision_features_are_compared_in_float32():
    for name in ("fitnet", "at", "nst", "rkd", "ofd", "afd"):
        training = training_of(
            f"{name}:teacher=none", precision="bfloat16", models=("cnn:width=4", "cnn:width=6", "cnn")
        )
        method = training.fleet.members[0].method
        assert {p.dtype for p in method.parameters()} <= {torch.float32}
        (terms,) = training.advance()
        assert all(t.dtype == torch.float32 and t.isfinite().all() for t in terms.values())
