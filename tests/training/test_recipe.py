"""What a training in sixteen bits leaves: a network in float32, and the figures of that network."""

import dataclasses

import keras
import pytest
import tiny

from okd_tf.training import inference, objective, recipe

pytestmark = pytest.mark.slow

DATA = tiny.make_splits()


@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
@pytest.mark.parametrize("loss", ["ce", "mutual"])
def test_what_is_saved_is_of_stock_layers_in_float32_and_what_was_validated(loss, compute, tmp_path):
    paths = [tmp_path / "first.keras", tmp_path / "second.keras"]
    train, further = (recipe.train_pair, {"peer_to": paths[1]}) if loss == "mutual" else (recipe.train, {})
    trained = train(
        lambda: tiny.make_backbone().model,
        objective.Objective(loss, 2.0),
        tiny.make_batches(DATA.train, augmentation=DATA.augmentation),
        DATA.val,
        epochs=2,
        seed=0,
        recipe=dataclasses.replace(tiny.make_recipe(), compute=compute),
        folder=tmp_path,
        logs=tmp_path / "logs",
        title="",
        save_to=paths[0],
        **further,
    )
    for path, one in zip(paths, trained if loss == "mutual" else [trained], strict=False):
        saved = keras.saving.load_model(path)
        assert {layer.compute_dtype for layer in saved.layers} == {"float32"}
        assert all(type(layer).__module__.startswith("keras.") for layer in saved.layers)
        figures = inference.Predictor(saved).evaluate(DATA.val)
        last = one.metrics()["val"]["last"]
        assert figures["accuracy"] == pytest.approx(last["accuracy"], rel=1e-6)  # as written with 8 digits
        assert figures["loss"] == pytest.approx(last["loss"], rel=1e-5)
