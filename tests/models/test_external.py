"""timm and torchvision, which have no build beside this torch: stand-ins with the signatures of the real ones."""

import os
import sys
import types
from urllib.error import URLError

import pytest
import torch
from torch import nn

from codistill.models import build
from codistill.models.parts.libraries import tensors_alone
from codistill.models.parts.pretrained import NewHead

CALLS = []


class Small(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(channels, 4, 3), nn.Linear(4, classes)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


def create_model(
    model_name,
    pretrained=False,
    pretrained_cfg=None,
    pretrained_cfg_overlay=None,
    checkpoint_path="",
    scriptable=None,
    exportable=None,
    no_jit=None,
    **kwargs,
):
    """As in timm 1.0; what it does not know goes to the network's class."""
    CALLS.append({"pretrained": pretrained, **kwargs, "safe": os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")})
    options = {"num_classes": 1000, "in_chans": 3, "drop_rate": 0.0, **kwargs}
    if wrong := set(options) - {"num_classes", "in_chans", "drop_rate"}:
        raise TypeError(f"Small.__init__() got an unexpected keyword argument {min(wrong)!r}")
    if pretrained and model_name == "far":
        raise URLError("no route to host")
    net = Small(options["num_classes"], options["in_chans"])
    if pretrained:
        nn.init.constant_(net.conv.weight, 0.5)
    return net


@pytest.fixture
def timm(monkeypatch):
    module = types.ModuleType("timm")
    vars(module).update(create_model=create_model, list_models=lambda: ["resnet18", "resnet34", "far"])
    monkeypatch.setitem(sys.modules, "timm", module)
    CALLS.clear()


@pytest.fixture
def torchvision(monkeypatch):
    """``get_model(name, **config)``, whose builders refuse another class count beside weights."""

    def resnet18(*, weights=None, progress=True, num_classes=None, width=4):
        if weights is not None and weights not in ("DEFAULT", "IMAGENET1K_V1"):
            raise KeyError(weights)
        if weights is not None and num_classes not in (None, 6):
            raise ValueError(f"The parameter 'num_classes' expected value 6 but got {num_classes} instead.")
        if weights == "IMAGENET1K_V1":
            raise URLError("no route to host")
        net = Small(6 if weights else num_classes or 6, 3)
        if weights:
            nn.init.constant_(net.conv.weight, 0.5)
        return net

    def boxes(*, weights=None, progress=True, num_classes=None):
        class Boxes(Small):
            def forward(self, x):
                return {"boxes": super().forward(x)}

        return Boxes(num_classes, 3)

    known = {"resnet18": resnet18, "boxes": boxes}
    module = types.ModuleType("torchvision.models")
    vars(module).update(
        list_models=lambda: sorted(known), get_model=lambda name, **config: known[name.lower()](**config)
    )
    package = types.ModuleType("torchvision")
    vars(package)["models"] = module
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", module)


@pytest.mark.usefixtures("timm")
def test_timm_is_asked_for_these_classes_and_channels():
    net = build("timm:resnet18,drop_rate=0.1", 7, (1, 8, 8), seed=0)
    assert net(torch.rand(2, 1, 8, 8)).shape == (2, 7)
    assert net.training
    assert CALLS == [{"pretrained": False, "num_classes": 7, "in_chans": 1, "drop_rate": 0.1, "safe": "1"}]
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    assert torch.equal(net.conv.weight, build("timm:resnet18", 7, (1, 8, 8), seed=0).conv.weight)


@pytest.mark.usefixtures("timm")
def test_weights_of_timm_are_loaded_by_timm():
    net = build("timm:resnet18.a1_in1k,pretrained=true", 7, (3, 8, 8), seed=0)
    assert CALLS[-1]["pretrained"] is True
    assert net.conv.weight.unique().tolist() == [0.5]


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("timm:resnet19", (3, 8, 8), r"no network of timm is called 'resnet19': did you mean 'resnet18'"),
        ("timm:resnet18", (64,), r"timm:resnet18 takes images of shape \(C, H, W\), not \(64,\)"),
        ("timm:resnet18,depth=3", (3, 8, 8), r"model timm:resnet18: TypeError: .*unexpected keyword argument 'depth'"),
        ("timm:resnet18", (3, 2, 2), r"model timm:resnet18 does not take examples of shape \(3, 2, 2\): RuntimeError:"),
        ("timm:far,pretrained=true", (3, 8, 8), r"timm:far: URLError: .*no route.*pretrained=false needs no download"),
        ("timm:resnet18,checkpoint_path=a.pth", (3, 8, 8), r"checkpoint_path='a.pth': use start= in its place"),
        ("timm", (3, 8, 8), r"model 'timm' needs name: write name=..., or timm:NAME"),
    ],
)
def test_what_timm_cannot_do_is_said(spec, shape, message):
    with pytest.raises(ValueError, match=message):
        build(spec, 7, shape)


@pytest.mark.usefixtures("torchvision")
def test_a_torchvision_network_gets_these_classes():
    net = build("torchvision:resnet18", 7, (3, 8, 8), seed=0)
    assert net(torch.rand(2, 3, 8, 8)).shape == (2, 7)
    assert net.training


@pytest.mark.usefixtures("torchvision")
def test_torchvision_weights_come_with_their_head_only_for_as_many_classes():
    whole = build("torchvision:resnet18,weights=DEFAULT", 6, (3, 8, 8), seed=0)
    assert whole.conv.weight.unique().tolist() == [0.5]
    with pytest.warns(
        NewHead, match="torchvision:resnet18,weights=DEFAULT is for 6 classes, not 7: fc.weight, fc.bias"
    ):
        part = build("torchvision:resnet18,weights=DEFAULT", 7, (3, 8, 8), seed=0)
    assert part.conv.weight.unique().tolist() == [0.5]
    assert torch.equal(part.fc.weight, build("torchvision:resnet18", 7, (3, 8, 8), seed=0).fc.weight)


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("torchvision:resnet19", (3, 8, 8), r"no network of torchvision is called 'resnet19': did you mean 'resnet18'"),
        ("torchvision:resnet18,weights=V9", (3, 8, 8), r"torchvision:resnet18: KeyError: 'V9'"),
        (
            "torchvision:resnet18,weights=IMAGENET1K_V1",
            (3, 8, 8),
            r"URLError: .*no route.*weights=none needs no download",
        ),
        ("torchvision:resnet18", (1, 8, 8), r"resnet18 does not take examples of shape \(1, 8, 8\): .*3 channels"),
        ("torchvision:boxes", (3, 8, 8), r"torchvision:boxes gives a dict, not logits: name a classifier"),
    ],
)
def test_what_torchvision_cannot_do_is_said(spec, shape, message):
    with pytest.raises(ValueError, match=message):
        build(spec, 7, shape)


@pytest.fixture
def importing(monkeypatch):
    """Lets the import of a library end in an error."""

    def broken(library, error):
        for name in [name for name in sys.modules if name.partition(".")[0] == library]:
            monkeypatch.delitem(sys.modules, name)

        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name.partition(".")[0] == library:
                    raise error

        monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])

    return broken


@pytest.mark.parametrize(
    ("spec", "library", "extra"),
    [("timm:a", "timm", "timm"), ("torchvision:a", "torchvision", "torchvision"), ("hf:a", "transformers", "hf")],
)
def test_a_library_that_is_not_there_is_said_with_its_extra(spec, library, extra, importing):
    importing(library, ModuleNotFoundError(f"No module named {library!r}", name=library))
    with pytest.raises(ImportError, match=rf"{library} is not installed: pip install 'codistill\[{extra}\]'"):
        build(spec, 3, (3, 8, 8))


@pytest.mark.parametrize(
    "error", [RuntimeError("operator torchvision::nms does not exist"), ImportError("cannot import name 'x'")]
)
def test_a_library_that_breaks_while_it_is_imported_is_said_with_its_extra(error, importing):
    importing("torchvision", error)
    with pytest.raises(
        ImportError, match=r"torchvision cannot be imported beside torch .*codistill\[torchvision\]"
    ) as e:
        build("torchvision:resnet18", 3, (3, 8, 8))
    assert str(error) in str(e.value)


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


def test_a_library_that_unpickles_anything_is_kept_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(Harmful(), "x.pt")
    with tensors_alone(), pytest.raises(Exception, match="[Ww]eights only"):
        torch.load("x.pt", weights_only=False)
    assert not (tmp_path / "harm").exists()
    torch.load("x.pt", weights_only=False)  # so the file could have done it
    assert (tmp_path / "harm").exists()
