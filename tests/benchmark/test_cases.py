"""What is measured: steps that run, and their arithmetic."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from okd_tf import search
from okd_tf.arch import space
from okd_tf.benchmark import cases, stored, workload
from okd_tf.benchmark.setup import Setup
from okd_tf.training import recipe

SIZE, CLASSES, BATCH = 8, 3, 4
SLOW = (
    *("live", "search_darts_unrolled", "ce_mirrored", "search_darts_mirrored", "search_darts_checkpoint"),
    *(f"search_{name}" for name in search.STRATEGIES),
    *("input_randaugment", "ce_streamed"),
)


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    """Two teachers of half the width, two views of noise."""
    folder = tmp_path_factory.mktemp("read")
    noise = stored.load("noise", "", 12, BATCH, SIZE, CLASSES)
    stored.write(folder, noise, 2, [2])
    return Setup(
        str(folder),
        "resnet8",
        16,
        "resnet8",
        8,
        teachers=2,
        views=2,
        batch_size=BATCH,
        ops=("identity", "conv_3x3"),
    )


@pytest.fixture(autouse=True)
def small_matrices(monkeypatch):
    monkeypatch.setattr(cases, "GEMM", 16)


def forward(width):
    """FLOPs of one image in a ResNet-8, convolution by convolution."""

    def conv(kernel, inputs, outputs, side):
        return 2 * kernel**2 * inputs * outputs * side**2

    total = conv(3, 3, width, SIZE) + 2 * conv(3, width, width, SIZE) + 2 * 4 * width * CLASSES
    for inputs, side in ((width, SIZE // 2), (2 * width, SIZE // 4)):
        outputs = 2 * inputs
        total += (
            conv(3, inputs, outputs, side) + conv(3, outputs, outputs, side) + conv(1, inputs, outputs, side)
        )
    return total


@pytest.fixture(scope="module")
def every(setup):
    """FLOPs of all operations of all layers on one image."""
    of = space.SearchSpace.around(workload.Workload(setup).backbone(), setup.ops)
    return sum(op.flops for costs in of.op_costs for op in costs)


def test_every_strategy_is_a_case():
    assert {f"search_{name}" for name in search.STRATEGIES} < set(cases.CASES)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in cases.CASES],
)
def test_a_case_runs_step_after_step(name, setup):
    case = cases.make(name, setup)
    case.step()
    case.step()
    assert case.images == (None if name == "gemm" else BATCH)


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("gemm", 2 * 16**3),
        ("ce", BATCH * 3 * forward(16)),
        ("bank", BATCH * 3 * forward(16)),
        pytest.param("live", BATCH * (3 * forward(16) + 2 * forward(8)), marks=pytest.mark.slow),
        ("live:1", BATCH * (3 * forward(16) + forward(8))),
        ("inference", BATCH * forward(8)),
        ("input", None),
        ("input_streamed", None),
        ("bank_read", None),
    ],
)
def test_arithmetic_is_that_of_the_networks_that_run(name, flops, setup):
    assert cases.make(name, setup).flops == flops


def test_a_mixed_step_runs_all_operations_twice_for_alphas_and_thrice_for_weights(setup, every):
    assert cases.make("search_darts", setup).flops == BATCH * 5 * (forward(16) + every)


def test_a_path_costs_between_the_backbone_and_the_dearest_path(setup, every):
    base = forward(16)  # identity costs nothing: the dearest path runs every convolution
    for name in ("random", "reinforce"):
        assert 3 * base < cases.make(f"search_{name}", setup).flops / BATCH < 3 * (base + every)
    # Of the alpha step, half of the layers run the convolution on average, dead or not.
    found = cases.make("search_gumbel", setup).flops / BATCH - 2 * (base + every / 2)
    assert 3 * base < found < 3 * (base + every)


def test_input_brings_augmented_images_and_the_stored_logits(setup):
    batch = cases.make("input", setup).step()
    assert batch["image"].shape == (BATCH, SIZE, SIZE, 3)
    read = stored.open_bank(setup.folder, 2, 2).reader("train")
    np.testing.assert_array_equal(batch["teacher_logits"], read(batch["id"].numpy(), batch["view"].numpy()))


def test_reading_goes_from_view_to_view(setup, monkeypatch):
    asked = []
    bank = types.SimpleNamespace(reader=lambda part: lambda rows, views: asked.append((rows, views)))
    monkeypatch.setattr(workload.stored, "open_bank", lambda *arguments: bank)
    case = cases.make("bank_read", setup)
    for _ in range(3):
        case.step()
    assert [views.tolist() for _, views in asked] == [[0] * BATCH, [1] * BATCH, [0] * BATCH]
    assert all(0 <= row < 12 for rows, _ in asked for row in rows)


def test_bfloat16_computes_in_it_and_keeps_logits_and_weights(setup):
    setup = dataclasses.replace(setup, precision="bfloat16")
    assert cases.make("gemm", setup).step().dtype == tf.bfloat16
    made = []
    make = recipe.make_classifier
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            recipe, "make_classifier", lambda *args, **kwargs: made.append(make(*args, **kwargs)) or made[0]
        )
        metrics = cases.make("bank", setup).step()
    assert np.isfinite(metrics["loss"])
    (network,) = (model.network for model in made)
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {layer.compute_dtype for layer in convolutions} == {"bfloat16"}
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert network.outputs[0].dtype == "float32"
