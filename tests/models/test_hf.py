"""Classifiers of transformers as peers: their weights, their head, token ids with our padding."""

import copy
import json
import os
import sys
import time
import warnings

import pytest
import torch

import tiny_transformers as tiny
from codistill import Cohort
from codistill.cohort import alike
from codistill.discovery import available
from codistill.models import build
from codistill.models.parts.pretrained import NewHead

tiny.library()
SHAPES = {"distilbert": (tiny.LENGTH,), "bert": (tiny.LENGTH,), "roberta": (tiny.LENGTH,), "vit": (1, 8, 8)}
TEXTS = [kind for kind in SHAPES if kind != "vit"]


def examples(kind):
    return torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) if kind == "vit" else tiny.token_ids(3)


def test_it_is_listed():
    assert {"hf", "timm", "torchvision"} <= set(available("codistill.models"))


@pytest.mark.parametrize("kind", SHAPES)
def test_a_folder_gives_the_network_that_was_saved(kind, tmp_path):
    theirs = tiny.folder(tmp_path, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NewHead)
        net = build(f"hf:{tmp_path}", 3, SHAPES[kind], seed=0)
    assert net.training
    assert type(net) is type(theirs)
    state = theirs.state_dict()
    assert net.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("kind", TEXTS)
def test_a_padded_text_gives_what_it_gives_alone_and_unpadded(kind, tmp_path):
    """Whatever the model pads with (RoBERTa with 1, and its positions follow from that): 0 is padding here."""
    theirs = tiny.folder(tmp_path, kind)
    net = build(f"hf:{tmp_path}", 3, SHAPES[kind]).eval()
    ids = tiny.token_ids(12)
    pad = theirs.config.pad_token_id
    for row, logits in zip(ids, net(ids).logits, strict=True):
        text = row[row != 0]
        text = torch.where(text == pad, 0, text)  # 0 and the model's padding have changed places
        torch.testing.assert_close(logits, theirs(input_ids=text[None]).logits[0], rtol=1e-4, atol=1e-5)


def test_token_ids_are_swapped_with_the_models_padding_and_nothing_else(tmp_path):
    tiny.folder(tmp_path, "roberta")
    net, seen = build(f"hf:{tmp_path}", 3, (4,)), []
    net.roberta.embeddings.register_forward_pre_hook(lambda m, a, k: seen.append(k["input_ids"]), with_kwargs=True)
    net(torch.tensor([[5, 1, 7, 0], [1, 1, 0, 0]]))
    assert seen[0].tolist() == [[5, 0, 7, 1], [0, 0, 1, 1]]


def test_a_text_of_padding_alone_is_still_a_number(tmp_path):
    tiny.folder(tmp_path, "bert")
    net = build(f"hf:{tmp_path}", 3, (4,)).eval()
    assert net(torch.tensor([[0, 0, 0, 0], [5, 6, 0, 0]])).logits.isfinite().all()


def test_a_decoder_classifies_at_its_last_token(tmp_path):
    tiny.folder(tmp_path, "gpt2", pad_token_id=None)
    net = build(f"hf:{tmp_path}", 3, (tiny.LENGTH,)).eval()
    ids = torch.tensor([[5, 6, 7, 0, 0], [9, 8, 0, 0, 0]])
    for row, logits in zip(ids, net(ids).logits, strict=True):
        torch.testing.assert_close(logits, net(row[row != 0][None]).logits[0], rtol=1e-4, atol=1e-5)


def test_transformers_own_way_of_calling_still_works(tmp_path):
    tiny.folder(tmp_path, "bert")
    net = build(f"hf:{tmp_path}", 3, (tiny.LENGTH,)).eval()
    ids = tiny.token_ids(2)
    torch.testing.assert_close(net(input_ids=ids, attention_mask=(ids > 0).long()).logits, net(ids).logits)


# The head -------------------------------------------------------------------------------------------------------------


def test_a_head_for_other_classes_is_a_function_of_the_seed(tmp_path):
    theirs = tiny.folder(tmp_path, "distilbert")
    said = r"is for 3 classes, not 5: classifier.weight, classifier.bias begin at random"
    with pytest.warns(NewHead, match=said):
        a, again, b = (build(f"hf:{tmp_path}", 5, (tiny.LENGTH,), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a.classifier.weight, again.classifier.weight)
    assert not torch.equal(a.classifier.weight, b.classifier.weight)
    assert torch.equal(a.pre_classifier.weight, theirs.pre_classifier.weight)
    assert torch.equal(b.pre_classifier.weight, theirs.pre_classifier.weight)


def test_a_body_without_a_head_gets_one(tmp_path):
    body = tiny.classifier("bert").bert
    body.save_pretrained(tmp_path)
    with pytest.warns(NewHead, match=r"does not have everything: classifier.bias, classifier.weight begin at random"):
        net = build(f"hf:{tmp_path}", 4, (tiny.LENGTH,), seed=0)
    assert torch.equal(net.bert.encoder.layer[1].output.dense.weight, body.encoder.layer[1].output.dense.weight)


def test_what_is_left_random_is_said_once_for_all_peers(tmp_path):
    tiny.folder(tmp_path, "bert")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for seed in range(3):
            build(f"hf:{tmp_path}", 4, (tiny.LENGTH,), seed=seed)
    assert len([w for w in caught if w.category is NewHead]) == 1


@pytest.mark.parametrize("classes", [1, 2])
def test_one_logit_or_two(classes, tmp_path):
    tiny.folder(tmp_path, "vit")
    net = build(f"hf:{tmp_path},pretrained=false", classes, (1, 8, 8))
    assert net(examples("vit")).logits.shape == (3, classes)


def test_without_its_weights_it_starts_at_random(tmp_path):
    theirs = tiny.folder(tmp_path, "bert")
    net = build(f"hf:{tmp_path},pretrained=false", 3, (tiny.LENGTH,), seed=0)
    again = build(f"hf:{tmp_path},pretrained=false", 3, (tiny.LENGTH,), seed=0)
    query = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(net.get_parameter(query), again.get_parameter(query))
    assert not torch.equal(net.get_parameter(query), theirs.get_parameter(query))
    (tmp_path / "model.safetensors").unlink()
    build(f"hf:{tmp_path},pretrained=false", 3, (tiny.LENGTH,))


def test_settings_of_the_config_are_options(tmp_path):
    tiny.folder(tmp_path, "bert")
    spec = f"hf:{tmp_path},pretrained=false,num_hidden_layers=1,vocab_size=99,hidden_dropout_prob=0.3"
    net = build(spec, 3, (tiny.LENGTH,), known={"vocabulary": 99, "vectors": None})
    assert len(net.bert.encoder.layer) == 1
    assert net.bert.embeddings.word_embeddings.num_embeddings == 99
    assert net.bert.embeddings.dropout.p == 0.3


def test_half_precision_on_disk_is_single_here(tmp_path):
    tiny.classifier("bert").half().save_pretrained(tmp_path)
    net = build(f"hf:{tmp_path}", 3, (tiny.LENGTH,))
    assert {p.dtype for p in net.parameters()} == {torch.float32}


# Like networks --------------------------------------------------------------------------------------------------------


def test_networks_are_alike_whatever_their_weights_came_from(tmp_path):
    tiny.folder(tmp_path / "a", "bert")
    tiny.folder(tmp_path / "b", "bert", seed=1)
    specs = [f"hf:{tmp_path}/a", f"hf:{tmp_path}/b", f"hf:{tmp_path}/a,pretrained=false"]
    nets = [build(spec, 3, (tiny.LENGTH,)) for spec in specs]
    assert alike(nets[0], nets[1])
    assert alike(nets[0], nets[2])


@pytest.mark.parametrize("changes", [{"attention": "eager"}, {"is_decoder": True}])
def test_a_setting_that_no_submodule_shows_makes_them_unlike(changes, tmp_path):
    tiny.folder(tmp_path, "bert")
    more = "".join(f",{k}={str(v).lower()}" for k, v in changes.items())
    nets = [build(f"hf:{tmp_path}{end}", 3, (tiny.LENGTH,)) for end in ("", more)]
    assert not alike(*nets)


TAPS = {
    "distilbert": ("distilbert.transformer.layer.1", "distilbert.transformer.layer.0.attention", "classifier:input"),
    "bert": ("bert.encoder.layer.0", "bert.encoder.layer.1:input", "bert.encoder.layer.0.attention.self"),
    "vit": ("vit.layers.0:input", "vit.layers.1", "vit.embeddings.patch_embeddings.projection"),
}


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", TAPS)
def test_a_stack_gives_what_a_loop_gives_taps_and_gradients_too(kind, attention, mode, tmp_path):
    off = {"dropout": 0.0, "attention_dropout": 0.0} if kind == "distilbert" else {
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # fmt: skip
    for seed in (0, 1):
        tiny.folder(tmp_path / str(seed), kind, seed=seed, **off)
    nets = [build(f"hf:{tmp_path}/{i},attention={attention}", 3, SHAPES[kind]) for i in (0, 1)]
    if kind == "distilbert":
        for net in nets:
            net.dropout.p = 0.0
    found = {}
    for execute in ("loop", "stack"):
        cohort = Cohort(copy.deepcopy(nets), execute=execute, precision="float64").train(mode)
        assert len(cohort.parts()) == (1 if execute == "stack" else 2)
        for tap in TAPS[kind]:
            cohort.tap(tap)
        x = examples(kind)
        outputs = cohort(x.double() if kind == "vit" else x)
        sum(f.square().sum() for f in (outputs.logits, *outputs.features.values())).backward()
        last = [cohort.network(i).classifier.weight for i in (0, 1)]
        gradients = [leaf.tensor.grad for leaf in cohort.leaves() if leaf.name == "classifier.weight"]
        gradient = gradients[0] if execute == "stack" else torch.stack(gradients)
        found[execute] = [outputs.logits, *outputs.features.values(), gradient, *last]
    for a, b in zip(*found.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_dropout_in_a_stack_draws_for_each_peer(tmp_path):
    tiny.folder(tmp_path, "bert", hidden_dropout_prob=0.5)
    net = build(f"hf:{tmp_path}", 3, (tiny.LENGTH,))
    z = Cohort([net, copy.deepcopy(net)], execute="stack")(tiny.token_ids(4)).logits
    assert not torch.equal(z[0], z[1])


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_a_tap_that_is_no_tensor_is_said(execute, tmp_path):
    tiny.folder(tmp_path, "bert")
    nets = [build(f"hf:{tmp_path}", 3, (tiny.LENGTH,), seed=i) for i in (0, 1)]
    messages = {
        "bert.encoder": r"'bert.encoder' is a BaseModelOutput.*, not a tensor; tap a submodule that gives one",
        "bert:input": r"'bert:input'.*",
        "bert.encoder.layers.0": r"no submodule of Bert.* is called 'bert.encoder.layers.0': .*bert.encoder.layer.0",
    }
    for tap, message in messages.items():
        cohort = Cohort([copy.deepcopy(net) for net in nets], execute=execute)
        cohort.tap(tap)
        if tap == "bert:input":  # its first positional input is the token ids
            assert torch.equal(cohort(tiny.token_ids(2)).features[tap][1], tiny.token_ids(2))
            continue
        with pytest.raises(ValueError, match=message):
            cohort(tiny.token_ids(2))


# Mistakes -------------------------------------------------------------------------------------------------------------


def test_more_token_ids_than_embeddings_are_said(tmp_path):
    tiny.folder(tmp_path, "bert")
    message = r"embeddings for 40 token ids and the data has 41: .*own tokenizer, or set pretrained=false,vocab_size=41"
    with pytest.raises(ValueError, match=message):
        build(f"hf:{tmp_path}", 3, (tiny.LENGTH,), known={"vocabulary": 41, "vectors": None})
    build(f"hf:{tmp_path}", 3, (tiny.LENGTH,), known={"vocabulary": 40, "vectors": None})


@pytest.mark.parametrize(
    ("kind", "shape", "more", "message"),
    [
        ("bert", (1, 8, 8), "", r"is a bert, and transformers has none that classifies images, .*\(1, 8, 8\) are"),
        ("vit", (8,), "", r"is a vit, and transformers has none that classifies token ids, .*\(8,\) are"),
        ("vit", (1, 16, 16), "", r"does not take examples of shape \(1, 16, 16\): ValueError: .*16\*16.*8\*8"),
        ("bert", (17,), "", r"does not take examples of shape \(17,\): "),
        ("bert", (8, 8), "", r"takes images of shape \(C, H, W\), not \(8, 8\)"),
        ("bert", (8,), ",hidden_sizes=4", r"or its config.json is called 'hidden_sizes': did you mean 'hidden_size'"),
        ("bert", (8,), ",pretraind=false", r"is called 'pretraind': did you mean 'pretrained'"),
        ("bert", (8,), ",zzz=4", r"or its config.json is called 'zzz': there are: attention"),
        ("bert", (8,), ",hidden_size=64", r"word_embeddings.weight' has shape \[40, 32\] there and \[40, 64\] in this"),
        ("bert", (8,), ",num_hidden_layers=two", r"num_hidden_layers.*int.*str"),
        ("bert", (8,), ",attention=fast", r'attn_implementation="fast"` is not supported'),
    ],
)
def test_what_does_not_fit_is_said(kind, shape, more, message, tmp_path):
    tiny.folder(tmp_path, kind)
    with pytest.raises(ValueError, match=message):
        build(f"hf:{tmp_path}{more}", 3, shape)


def test_weights_of_another_model_are_said(tmp_path):
    tiny.folder(tmp_path, "bert")
    tiny.folder(tmp_path / "other", "distilbert")
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError,
        match=r"of this network's \d+ tensors are not among its weights.*another network's; give pretrained=false",
    ):
        build(f"hf:{tmp_path}", 3, (8,))


def test_a_folder_without_a_model_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"model hf:.*config.json"):
        build(f"hf:{tmp_path}", 3, (8,))


def test_code_beside_the_weights_is_never_run(tmp_path):
    tiny.folder(tmp_path, "bert")
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Net"}
    config["model_type"] = "own"
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w').close()\n")
    with pytest.raises(ValueError, match="custom code"):
        build(f"hf:{tmp_path}", 3, (8,))
    assert not (tmp_path / "harm").exists()


class Harmful:
    def __reduce__(self):
        return (os.mkdir, (os.environ["HARM"],))


def test_weights_that_could_run_code_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    net = tiny.folder(tmp_path, "bert")
    (tmp_path / "model.safetensors").unlink()
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    assert torch.equal(build(f"hf:{tmp_path}", 3, (8,)).classifier.weight, net.classifier.weight)
    torch.save({"classifier.weight": Harmful()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="(?i)weights.only"):
        build(f"hf:{tmp_path}", 3, (8,))
    assert not (tmp_path / "harm").exists()


def test_a_name_that_cannot_be_downloaded_is_one_error_without_waiting(monkeypatch):
    """No network here; were there one, the server would not know it."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    hub = sys.modules["huggingface_hub"]
    monkeypatch.setattr(hub, "hf_hub_url", lambda name, file: f"http://127.0.0.1:9/{name}/resolve/main/{file}")
    began = time.perf_counter()
    message = (
        r"hf:nobody/nothing: there is no folder 'nobody/nothing', and it cannot be downloaded .*give the folder of"
    )
    with pytest.raises(ValueError, match=message):
        build("hf:nobody/nothing", 3, (8,))
    assert time.perf_counter() - began < 8
    with pytest.raises(
        ValueError, match=r"hf:./not-here: there is no folder './not-here': give one that save_pretrained made"
    ):
        build("hf:./not-here", 3, (8,))
