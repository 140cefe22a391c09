import pytest
import torch

from codistill.caching import CACHE
from codistill.data import load
from codistill.data.images import lazy
from codistill.data.images.cut import Unreadable, open_image
from codistill.data.market1501 import market1501
from codistill.metrics.retrieval import retrieval
from small_images import market_tree, save, spoil


@pytest.fixture
def root(tmp_path):
    return market_tree(tmp_path)


def read(root, **options):
    return market1501(root, **{"height": 16, "width": 16, "workers": 0} | options)


def test_persons_to_learn_are_numbered_from_0_and_named(root):
    data = read(root)
    assert data.names == ("0002", "0007")
    assert data.classes == 2
    assert data.train.y.tolist() == [0, 0, 1]
    assert data.train.x.files.path(2).name == "0007_c3s2_000453_02.jpg"
    assert data.mean == data.std == (0.5, 0.5, 0.5)


def test_the_test_part_is_queries_and_then_the_gallery_and_tells_who_is_on_them(root):
    data = read(root)
    truth = data.retrieval
    assert data.test.y.tolist() == [-1] * 7
    assert truth.query.tolist() == [True] * 2 + [False] * 5
    assert truth.identity.tolist() == [1, 3, -1, 0, 1, 1, 3]
    assert truth.camera.tolist() == [1, 6, 1, 4, 1, 5, 2]
    assert [data.test.x.files.path(i).parent.name for i in (0, 1, 2, 6)] == ["query"] * 2 + ["bounding_box_test"] * 2


def test_a_search_leaves_out_junk_and_the_same_camera_and_keeps_distractors(root):
    truth = read(root).retrieval
    far = torch.tensor([[0.0, 2.0, 1.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0, 0.5]])  # junk, nobody, 1 cam 1, 1 cam 5, 3
    found = retrieval(far, (truth.identity[:2], truth.camera[:2]), (truth.identity[2:], truth.camera[2:]), ranks=(1, 2))
    assert found.cmc.tolist() == [0.5, 1.0]  # the first query: nobody, then itself by camera 5
    assert found.mean_ap == pytest.approx((1 / 2 + 1) / 2)


def test_images_are_stretched_and_scaled_to_minus_1_to_1(root):
    from codistill.data.loader import plain

    level = 250
    for path in root.rglob("*.jpg"):
        save(path, size=(64, 128), level=level)
    data = market1501(root, workers=0)
    assert data.train.x.shape == (3, 3, 224, 224)
    x, _ = next(plain(data.train, data.mean, data.std, 2))
    torch.testing.assert_close(x, torch.full_like(x, level / 255 * 2 - 1))


def test_training_draws_no_part_of_an_image(root):
    assert read(root).train.x.cut.draws(3, torch.Generator()) is None


@pytest.mark.parametrize("name", ["Market-1501-v15.09.15", "market1501"])
def test_the_folder_may_be_one_deeper(tmp_path, name):
    market_tree(tmp_path / name)
    assert len(read(tmp_path).train) == 3


def test_all_boxes_of_the_queries_can_be_asked_with(root):
    data = load("market1501:height=16,width=16,workers=0,queries=gt_bbox", root)
    truth = data.retrieval
    names = [data.test.x.files.path(i).name for i in range(int(truth.query.sum()))]
    assert names == ["0001_c1s1_001051_00.jpg", "0001_c1s2_001060_00.jpg", "0003_c6s3_001052_00.jpg"]
    assert truth.identity[:3].tolist() == [1, 1, 3]


def test_a_name_that_tells_nobody_is_an_error_with_the_form_that_it_should_have(root):
    bad = save(root / "bounding_box_test" / "photo (1).jpg")
    with pytest.raises(
        ValueError, match=r"photo \(1\)\.jpg: the name must tell person.*0002_c1s1_000451_03\.jpg.*skip_bad"
    ):
        read(root)
    with pytest.warns(UserWarning, match=r"1 of 6 images in .*bounding_box_test cannot be used.*photo"):
        data = read(root, skip_bad=True)
    assert bad not in [data.test.x.files.path(i) for i in range(len(data.test))]


@pytest.mark.parametrize(
    "name",
    [
        "99999999999999999999_c1s1_000451_03.jpg",
        "10000_c1s1_000451_03.jpg",
        "-2_c1s1_000451_03.jpg",
        "0003_c9s1_000451_03.jpg",
        "0003_c0s1_000451_03.jpg",
        "0003_c11s1_000451_03.jpg",
        "٠٠٠٣_c1s1_000451_03.jpg",
        "0003_c١s1_000451_03.jpg",
    ],
)
@pytest.mark.parametrize("folder", ["query", "bounding_box_test"])
def test_an_invalid_person_or_camera_is_an_error_or_left_out(root, folder, name):
    save(root / folder / name)
    with pytest.raises(ValueError, match=rf"{name}: the name must tell person \(up to 4 digits.*and camera \(1"):
        read(root)
    with pytest.warns(UserWarning, match=rf"1 of \d images in .*{folder} cannot be used.*{name}"):
        data = read(root, skip_bad=True)
    assert len(data.test) == 7


@pytest.mark.parametrize("name", ["-1_c1s1_000401_03.jpg", "0000_c1s1_000401_03.jpg"])
@pytest.mark.parametrize("folder", ["bounding_box_train", "query"])
def test_junk_outside_the_gallery_is_an_error(root, folder, name):
    save(root / folder / name)
    with pytest.raises(ValueError, match=rf"{name}: .*-1 and 0 in bounding_box_test only"):
        read(root)


def test_a_corrupt_image_is_named_when_it_is_read_or_left_out_first(root):
    bad = spoil(root / "bounding_box_test" / "0001_c5s1_001053_01.jpg")
    with pytest.raises(Unreadable, match=rf"{bad} cannot be read"):
        read(root).test.x[0:7]
    with pytest.warns(UserWarning, match=r"1 of 5 images in .*bounding_box_test cannot be used.*0001_c5s1"):
        data = read(root, skip_bad=True)
    assert data.retrieval.identity.tolist() == [1, 3, -1, 0, 1, 3]
    assert data.test.x[0:6].shape == (6, 3, 16, 16)


def test_the_second_start_that_leaves_out_bad_images_decodes_none(root, tmp_path_factory, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(lazy, "MANY", 1)
    opened = []
    monkeypatch.setattr(lazy, "open_image", lambda path: opened.append(path) or open_image(path))
    spoil(root / "bounding_box_test" / "0001_c5s1_001053_01.jpg")
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"1 of 5 images in .*bounding_box_test cannot be used.*0001_c5s1"):
            data = read(root, skip_bad=True)
        assert data.retrieval.identity.tolist() == [1, 3, -1, 0, 1, 3]
        assert len(opened) == 10
    save(root / "bounding_box_test" / "0001_c5s1_001053_01.jpg", size=(60, 120))
    assert len(read(root, skip_bad=True).test) == 7
    assert len(opened) == 15  # the folder in which one has changed


@pytest.mark.parametrize("folder", ["query", "bounding_box_test"])
def test_a_person_in_both_parts_is_named(root, folder):
    bad = save(root / folder / "0002_c3s1_000451_00.jpg")
    with pytest.raises(ValueError, match=rf"person 2 of {bad} is in bounding_box_train too.*remove it"):
        read(root)


def test_an_empty_folder_is_named(root):
    for path in (root / "query").glob("*.jpg"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"query has no images such as 0002_c1s1_000451_03\.jpg"):
        read(root)


def test_where_it_was_looked_for_is_said(tmp_path):
    (tmp_path / "query").mkdir()
    with pytest.raises(FileNotFoundError, match=r"(?s)market1501 was not found.*--data-root FOLDER\)$") as error:
        market1501(tmp_path, workers=0)
    assert str(tmp_path / "Market-1501-v15.09.15" / "bounding_box_train") in str(error.value)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"height": 2}, ValueError, "market1501: height=2: give a whole number of at least 8"),
        ({"width": "wide"}, ValueError, "market1501: width='wide'"),
        ({"queries": "gt_box"}, ValueError, "market1501: queries='gt_box': give 'query' or 'gt_bbox'"),
        ({"skip_bad": "yes"}, ValueError, "market1501: skip_bad='yes': use true or false"),
        ({"workers": 1.5}, ValueError, "market1501: workers=1.5"),
        ({"download": True}, ValueError, "market1501: download=True.*bounding_box_train"),
    ],
)
def test_an_option_out_of_range_is_named(root, options, kind, said):
    with pytest.raises(kind, match=said):
        read(root, **options)
