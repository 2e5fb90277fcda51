"""Pictures in memory through a generator: what comes back is of the kind that went in, and equals the file's way."""

import numpy as np
import pytest
import torch
from PIL import Image

from bamkit.gan.train.networks.cyclegan import ResnetGenerator
from bamkit.gan.translate.generator import Translator
from bamkit.gan.translate.pictures import translate_picture


@pytest.fixture(scope="module")
def translator():
    torch.manual_seed(3)
    return Translator(ResnetGenerator(4, 1), torch.device("cpu"))


@pytest.fixture(scope="module")
def array():
    return np.random.default_rng(0).integers(0, 256, (26, 34, 3), dtype=np.uint8)


def test_every_kind_gives_the_same_values_in_its_own_layout(translator, array):
    (expected,) = translator([array])
    assert np.array_equal(translate_picture(array, translator), expected)
    assert np.array_equal(np.asarray(translate_picture(Image.fromarray(array), translator)), expected)
    tensor = translate_picture(torch.from_numpy(array).permute(2, 0, 1), translator)
    assert tensor.is_contiguous()
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_come_back_as_floats_in_0_to_1(translator, array, dtype):
    (expected,) = translator([array])
    made = translate_picture((array / 255).astype(dtype), translator)
    assert made.dtype == dtype
    assert np.array_equal(np.rint(made.astype(float) * 255), expected)
    tensor = translate_picture(torch.tensor(array / 255, dtype=torch.float32).permute(2, 0, 1), translator)
    assert tensor.dtype == torch.float32
    assert np.array_equal((tensor * 255).round().permute(1, 2, 0).numpy(), expected)


def test_a_batch_is_its_pictures_one_by_one(translator, array):
    batch = np.stack([array, 255 - array])
    made = translate_picture(batch, translator)
    assert all(np.array_equal(one, translate_picture(each, translator)) for one, each in zip(made, batch, strict=True))
    assert translate_picture(torch.from_numpy(batch).permute(0, 3, 1, 2), translator).shape == (2, 3, 26, 34)


def test_alpha_is_kept_and_other_modes_become_rgb(translator, array):
    alpha = Image.fromarray(array[..., 0])
    picture = Image.fromarray(array)
    picture.putalpha(alpha)
    made = translate_picture(picture, translator)
    assert made.mode == "RGBA"
    assert np.array_equal(np.asarray(made)[..., 3], array[..., 0])
    assert translate_picture(Image.fromarray(array[..., 0]), translator).mode == "RGB"


def test_a_picture_that_lies_on_its_side_is_turned(translator, array):
    picture = Image.fromarray(array)
    picture.getexif()[0x0112] = 6
    made = translate_picture(picture, translator)
    turned = Image.fromarray(array).transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(np.asarray(made), np.asarray(translate_picture(turned, translator)))


def test_a_shown_size_changes_the_result_and_not_its_size(translator, array):
    made = translate_picture(array, translator, shorter=16)
    assert made.shape == array.shape
    assert not np.array_equal(made, translate_picture(array, translator))
    assert translate_picture(array, translator, shorter=16, own=False).shape == (16, 21, 3)


def test_no_gradient_and_no_change_of_what_was_given(translator, array):
    tensor = torch.tensor(array / 255).permute(2, 0, 1).requires_grad_()
    before = tensor.detach().clone()
    assert not translate_picture(tensor, translator).requires_grad
    assert torch.equal(before, tensor.detach())


@pytest.mark.parametrize(
    ("picture", "kind", "says"),
    [
        (np.zeros((3, 26, 34), np.uint8), ValueError, r"\(H, W, 3\), several \(N, H, W, 3\)"),
        (np.zeros((26, 34), np.uint8), ValueError, "R, G, B"),
        (np.zeros((26, 34, 4), np.uint8), ValueError, "R, G, B"),
        (np.zeros((0, 34, 3), np.uint8), ValueError, "R, G, B"),
        (torch.zeros(26, 34, 3), ValueError, r"\(3, H, W\), several \(N, 3, H, W\)"),
        (torch.zeros(3), ValueError, r"\(3, H, W\)"),
        (np.zeros((26, 34, 3), np.int64), TypeError, "uint8"),
        (np.full((26, 34, 3), 255.0), ValueError, "from 255 to 255"),
        (np.full((26, 34, 3), -0.5), ValueError, r"\(x \+ 1\) / 2"),
        (np.full((26, 34, 3), np.nan), ValueError, "nan"),
        (torch.full((3, 26, 34), -1.0), ValueError, r"\(x \+ 1\) / 2"),
        ("cat.jpg", TypeError, "not str"),
    ],
)
def test_what_is_no_picture_is_refused(translator, picture, kind, says):
    with pytest.raises(kind, match=says):
        translate_picture(picture, translator)
