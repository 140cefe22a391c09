import pytest
import torch
from torch.nn import functional as F

from codistill.data.augmentations import build_augment
from codistill.data.augmentations.crop import crop
from codistill.data.augmentations.flip import flip
from codistill.spec import UnknownName

PADS = {"reflect": "reflect", "replicate": "replicate", "zeros": "constant"}  # ours: torch's


def source():
    return torch.Generator().manual_seed(3)


def batch(dtype):
    x = torch.randint(256, (16, 3, 6, 5), generator=torch.Generator().manual_seed(0))
    return x.to(dtype)


def naive_crop(x, pad, mode, generator):
    down, right = torch.randint(-pad, pad + 1, (2, len(x), 1), generator=generator)[..., 0]
    out = []
    for image, i, j in zip(x, down.tolist(), right.tolist(), strict=True):
        padded = F.pad(image[None].double(), (pad,) * 4, mode=PADS[mode])[0] if pad else image.double()
        top, left = pad + i, pad + j
        out.append(padded[:, top : top + x.shape[2], left : left + x.shape[3]].to(x.dtype))
    return torch.stack(out)


def naive_flip(x, generator):
    turned = torch.randint(2, (len(x), 1, 1, 1), generator=generator).flatten().tolist()
    return torch.stack([image.flip(-1) if turn else image for image, turn in zip(x, turned, strict=True)])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("mode", sorted(PADS))
@pytest.mark.parametrize("pad", [0, 1, 4])
def test_crop_equals_a_loop_over_padded_images(pad, mode, dtype):
    x = batch(dtype)
    cropped = crop(pad, mode)(x, source())
    assert cropped.dtype == dtype
    assert torch.equal(cropped, naive_crop(x, pad, mode, source()))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_flip_equals_a_loop_over_images(dtype):
    x = batch(dtype)
    assert torch.equal(flip()(x, source()), naive_flip(x, source()))


def test_flip_turns_about_half_and_crop_reaches_every_place():
    x = torch.arange(25.0).view(1, 1, 5, 5).expand(2000, 1, 5, 5)
    turned = (flip()(x, source())[:, 0, 0, 0] == 4).float().mean()
    assert 0.45 < turned < 0.55
    assert crop(1, "zeros")(x, source())[:, 0, 2, 2].unique().numel() == 9


def test_augmentation_leaves_its_input_alone():
    x = batch(torch.uint8)
    before = x.clone()
    build_augment(["crop:pad=2,mode=zeros", "flip"])(x, source())
    assert torch.equal(x, before)


def test_specs_are_applied_in_order_with_one_source_of_numbers():
    x, once = batch(torch.uint8), source()
    expected = naive_flip(naive_crop(x, 2, "reflect", once), once)
    assert torch.equal(build_augment(["crop:pad=2", "flip"])(x, source()), expected)


def test_no_specs_change_nothing():
    x = batch(torch.uint8)
    assert torch.equal(build_augment([])(x, source()), x)


def test_the_default_is_the_padding_of_the_paper():
    x = torch.randint(256, (8, 1, 8, 8), generator=source())
    assert torch.equal(build_augment(["crop"])(x, source()), crop(4, "reflect")(x, source()))


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        (["flipp"], "no augmentation is called 'flipp': did you mean 'flip'"),
        (["crop:padd=1"], "no option of augmentation 'crop' is called 'padd': did you mean 'pad'"),
        (["flip:p=1"], "no option of augmentation 'flip' is called 'p'"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest(specs, said):
    with pytest.raises(UnknownName, match=said):
        build_augment(specs)


@pytest.mark.parametrize("value", ["-1", "0.5", "true", "four"])
def test_a_bad_pad_is_named(value):
    with pytest.raises(ValueError, match="crop: pad=.*whole number"):
        build_augment([f"crop:pad={value}"])


def test_an_invalid_mode_gets_the_valid_ones():
    with pytest.raises(ValueError, match="crop: mode='reflct': give 'reflect' or 'replicate' or 'zeros'"):
        build_augment(["crop:mode=reflct"])


def test_a_value_too_many_is_refused():
    with pytest.raises(ValueError, match=r"augmentation 'crop:4,zeros,5': 5 is one too many \(options: pad, mode\)"):
        build_augment(["crop:4,zeros,5"])


def test_a_mirror_wider_than_the_image_is_refused():
    with pytest.raises(ValueError, match="pad=5 mirrors more than 6x5"):
        crop(5)(batch(torch.uint8), source())


def test_token_ids_are_refused():
    with pytest.raises(ValueError, match=r"flip: x has shape \[4, 7\]"):
        flip()(torch.zeros(4, 7).long(), source())
