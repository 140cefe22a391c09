import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from codistill.batch import PerPeer
from codistill.cohort import Cohort
from codistill.cohort.groups import CannotStack
from codistill.data.examples import DataSet, Examples, Text
from codistill.models import build, count_parameters
from codistill.run import Run
from codistill.training.batches import draw
from codistill.training.build import build_fleet

GATES = {"bigru": 3, "bilstm": 4}
SMALL = "hidden=3,embedding=4,dropout=0"
VOCABULARY = 11
both = pytest.mark.parametrize("name", ["bigru", "bilstm"])


def small(name, classes=2, seed=0, options=SMALL, **known):
    return build(f"{name}:{options}", classes, (7,), seed, {"vocabulary": VOCABULARY, **known}).double()


def sentences(lengths=(5, 7, 2, 5, 1), width=7, seed=0):
    ids = torch.randint(1, VOCABULARY, (len(lengths), width), generator=torch.Generator().manual_seed(seed))
    return torch.where(torch.arange(width) < torch.tensor(lengths)[:, None], ids, 0)


def arithmetic(name, hidden, embedding, classes, vocabulary, layers):
    gates, total = GATES[name] * hidden, vocabulary * embedding
    for layer in range(layers):
        width = embedding if layer == 0 else 2 * hidden
        total += 2 * (gates * width + gates * hidden + gates + gates)
    return total + 2 * hidden * classes + classes


@pytest.mark.parametrize(
    ("name", "hidden", "embedding", "counts"),
    [("bigru", 256, 160, (4_225_281, 4_229_898, 4_276_068)), ("bilstm", 64, 100, (1_684_449, 1_685_610, 1_697_220))],
)
def test_counts(name, hidden, embedding, counts):
    for classes, count in zip((1, 10, 100), counts, strict=True):
        assert arithmetic(name, hidden, embedding, classes, 15_000, 2) == count
        with torch.device("meta"):
            assert count_parameters(build(name, classes, (20,), known={"vocabulary": 15_000})) == count


def one_by_one(net, ids, layers=2):
    """Logits of one sentence without padding, word by word, gate by gate."""
    words = [net.words.embedding.weight[i] for i in ids]
    for layer in range(1, layers + 1):
        rnn, read = net.get_submodule(f"stage{layer}").rnn, {}
        hidden = rnn.hidden_size
        for end in ("", "_reverse"):
            w, u, b, a = (getattr(rnn, f"{k}_l0{end}") for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            h = c = torch.zeros(hidden, dtype=w.dtype)
            states = []
            for word in reversed(words) if end else words:
                x, y = (w @ word + b).split(hidden), (u @ h + a).split(hidden)
                if isinstance(rnn, nn.LSTM):
                    i, f, g, o = (p + q for p, q in zip(x, y, strict=True))
                    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                    h = o.sigmoid() * c.tanh()
                else:
                    r, z = (x[0] + y[0]).sigmoid(), (x[1] + y[1]).sigmoid()
                    h = (1 - z) * (x[2] + r * y[2]).tanh() + z * h
                states.append(h)
            read[end] = states
        last = torch.cat([read[""][-1], read["_reverse"][-1]])
        words = [torch.cat(pair) for pair in zip(read[""], reversed(read["_reverse"]), strict=True)]
    return net.fc.weight @ last + net.fc.bias


@both
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_is_its_equation_and_so_are_its_gradients(name, layers):
    net, ids = small(name, options=f"{SMALL},layers={layers}"), sentences()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            if "bias" in key:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    naive = torch.stack([one_by_one(net, row[row != 0], layers) for row in ids])
    torch.testing.assert_close(net(ids), naive)
    parameters = list(net.parameters())
    ours = torch.autograd.grad(net(ids).square().sum(), parameters)
    for (key, _), a, b in zip(
        net.named_parameters(), ours, torch.autograd.grad(naive.square().sum(), parameters), strict=True
    ):
        torch.testing.assert_close(a, b, msg=key)
        assert a.abs().sum() > 0, key


@both
def test_a_layer_written_out_is_torchs_own(name):
    net, ids = small(name), sentences()
    words = net.words(ids)
    torch.testing.assert_close(net.stage1(words).data, net.stage1.rnn(words)[0].data)
    theirs = pack_padded_sequence(net.words.embedding(ids), (ids != 0).sum(1), batch_first=True, enforce_sorted=False)
    assert torch.equal(words.data, theirs.data)
    _, state = net.stage1.rnn(theirs)
    last = state[0] if isinstance(state, tuple) else state
    torch.testing.assert_close(net.last(net.stage1(words)), torch.cat([last[0], last[1]], 1))


@both
def test_padding_neighbours_and_their_order_change_nothing(name):
    net, ids = small(name), sentences()
    z = net(ids)
    torch.testing.assert_close(net(torch.cat([ids, torch.zeros(5, 6, dtype=torch.int64)], 1)), z)
    torch.testing.assert_close(torch.cat([net(row[row != 0][None]) for row in ids]), z)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(net(ids[order]), z[order])


@both
def test_a_row_of_padding_alone_is_one_word_of_zeros(name):
    net, ids = small(name), sentences((3, 7, 2))
    z = net(ids)
    ids[1] = 0
    torch.testing.assert_close(net(ids)[[0, 2]], z[[0, 2]])
    torch.testing.assert_close(net(ids)[1], one_by_one(net, [0]))
    torch.testing.assert_close(net(ids[[1]])[0], one_by_one(net, [0]))
    assert not net.words.embedding.weight[0].any()


@both
@pytest.mark.parametrize("layers", [1, 3])
def test_what_a_program_computes_is_the_same_without_packing(name, layers, monkeypatch):
    net, ids = small(name, options=f"{SMALL},layers={layers}"), sentences((5, 7, 2, 0, 1))
    packed = net(ids)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(net(ids), packed)
    torch.testing.assert_close(net(ids[2:]), packed[2:])


@both
def test_where_weights_start(name):
    net = build(name, 2, (20,), 0, {"vocabulary": 300})
    for layer in (net.stage1.rnn, net.stage2.rnn):
        for end in ("l0", "l0_reverse"):
            assert not getattr(layer, f"bias_ih_{end}").any()
            assert not getattr(layer, f"bias_hh_{end}").any()
            across = getattr(layer, f"weight_hh_{end}")
            torch.testing.assert_close(across.T @ across, torch.eye(across.shape[1]), atol=1e-5, rtol=0)
            into = getattr(layer, f"weight_ih_{end}")
            bound = math.sqrt(6 / sum(into.shape))
            assert 0.98 * bound < into.abs().max() <= bound
            assert into.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@both
def test_vectors_are_the_start_and_tokens_without_one_start_at_random(name):
    vectors = torch.randn(VOCABULARY, 4, generator=torch.Generator().manual_seed(0))
    vectors[3], vectors[5, 2] = math.nan, math.nan
    table = small(name, vectors=vectors).words.embedding.weight
    plain = small(name).words.embedding.weight
    assert torch.equal(table[[3, 5]], plain[[3, 5]])
    rest = [1, 2, 4, 6, 7, 8, 9, 10]
    assert torch.equal(table[rest], vectors[rest].double())
    assert not table[0].any()
    assert torch.equal(small(name, vectors=vectors, options=f"{SMALL},vectors=none").words.embedding.weight, plain)
    assert table.requires_grad


@both
def test_a_seed_repeats_and_another_differs(name):
    a, again, b = (small(name, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[key], again[key]) for key in a)
    assert not torch.equal(a["stage2.rnn.weight_hh_l0"], b["stage2.rnn.weight_hh_l0"])
    assert not torch.equal(a["words.embedding.weight"], b["words.embedding.weight"])


@both
def test_dropout_is_after_the_vectors_between_layers_and_before_fc(name):
    net, ids = build(name, 2, (7,), 0, {"vocabulary": VOCABULARY}), sentences()
    torch.manual_seed(0)
    assert not torch.equal(net(ids), net(ids))
    assert torch.equal(net.eval()(ids), net(ids))
    assert {key: m.p for key, m in net.named_modules() if isinstance(m, nn.Dropout)} == {
        "words.dropout": 0.5,
        "dropout1": 0.5,
        "dropout": 0.5,
    }
    words = net.train().words(ids)
    dropped = net.dropout1(words)
    zero = dropped.data == 0
    assert 0.2 < zero.double().mean() < 0.8
    torch.testing.assert_close(dropped.data[~zero], 2 * words.data[~zero])
    assert torch.equal(dropped.batch_sizes, words.batch_sizes)


@both
def test_the_last_features_go_into_fc_and_a_stage_gives_every_words_states(name):
    cohort, ids = Cohort([small(name, seed=seed) for seed in range(2)]), sentences()
    for tap in ("fc:input", "stage1"):
        cohort.tap(tap)
    features = cohort(ids).features
    assert features["fc:input"].shape == (2, len(ids), 6)
    assert features["stage1"].shape == (2, int((ids != 0).sum()), 6)


@both
def test_a_stack_gives_what_a_loop_gives(name):
    nets, ids = [small(name, seed=seed) for seed in range(3)], sentences()
    loop, stack = Cohort(nets), Cohort(nets, execute="stack")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logits = [cohort(ids).logits for cohort in (loop, stack)]
        torch.testing.assert_close(*logits)
        for z in logits:
            z.square().sum().backward()
    for peer in range(3):
        rows = {leaf.name: leaf.tensor.grad[peer] for leaf in stack.leaves()}
        for key, parameter in loop.network(peer).named_parameters():
            torch.testing.assert_close(rows[key], parameter.grad)
    torch.testing.assert_close(stack.network(1)(ids), logits[0][1])


@both
def test_a_stack_whose_peers_have_their_own_sentences_is_refused_with_what_to_do(name):
    cohort = Cohort([small(name, seed=seed) for seed in range(2)], execute="stack")
    with pytest.raises(CannotStack, match=r"execute='stack': these networks cannot run as one .*use execute='loop'"):
        cohort(PerPeer(torch.stack([sentences(), sentences(seed=1)])))


def reviews(n=60):
    y = torch.arange(n) % 2
    ids = torch.where(y[:, None] == 1, 1, 6) + torch.randint(0, 4, (n, 7), generator=torch.Generator().manual_seed(0))
    part = Examples(ids, y)
    return DataSet(part, part, 1, "binary", (), (), (), Text(VOCABULARY, "{}"))


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_auto_falls_back_to_a_loop_quietly_where_a_stack_cannot_be(seeds):
    model = "bilstm:hidden=3,embedding=4"
    runs = [Run(models=(model,), method="dml", peers=2, batch=20, epochs=1, seed=seed) for seed in seeds]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fleet = build_fleet(runs, execute="auto", dataset=reviews())
    assert fleet.execution.execute == "loop" if len(seeds) > 1 else fleet.execution.execute in ("loop", "stack")
    assert set(fleet.execution.timing) == ({"loop"} if len(seeds) > 1 else {"loop", "stack"})
    x = draw(fleet.streams, fleet.members, (0, 0, 0))[0].x.whole
    assert fleet.cohort(x).logits.shape == (2 * len(seeds), 20, 1)


@both
def test_bfloat16_is_close(name):
    ids = sentences()
    full, half = (Cohort([small(name).float()], precision=p)(ids).logits for p in ("float32", "bfloat16"))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.05, rtol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@both
def test_a_gpu_gives_the_same(name):
    net, ids = small(name), sentences()
    z = net(ids).detach()
    torch.testing.assert_close(net.cuda()(ids.cuda()).cpu(), z)


@pytest.mark.parametrize(
    ("spec", "shape", "known", "message"),
    [
        (
            "bigru",
            (3, 32, 32),
            {},
            r"bigru reads token ids .*got shape \(3, 32, 32\), vocabulary=None: use data of text",
        ),
        ("bilstm", (64,), {}, r"bilstm reads token ids .*vocabulary=None: use data of text, or a network for images"),
        ("bigru:hidden=0", (9,), {"vocabulary": 9}, "bigru: hidden=0: give a whole number"),
        ("bilstm:layers=two", (9,), {"vocabulary": 9}, "bilstm: layers='two': give a whole number"),
        ("bilstm:embedding=1.5", (9,), {"vocabulary": 9}, "bilstm: embedding=1.5: give a whole number"),
        ("bilstm:dropout=1", (9,), {"vocabulary": 9}, "bilstm: dropout=1: give a number from 0 to below 1"),
        ("bilstm:vectors=glove", (9,), {"vocabulary": 9}, "bilstm: vectors='glove': they come from the data; .*none"),
        ("bilstm:hiden=3", (9,), {"vocabulary": 9}, "did you mean 'hidden'?"),
        (
            "bilstm",
            (9,),
            {"vocabulary": 9, "vectors": torch.zeros(9, 50)},
            r"bilstm: embedding=100, .*vectors are \[9, 50\] .*set embedding=50, or vectors=none",
        ),
    ],
)
def test_what_it_refuses(spec, shape, known, message):
    with pytest.raises(ValueError, match=message):
        build(spec, 2, shape, known=known)
