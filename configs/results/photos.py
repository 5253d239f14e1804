"""Hold the README's command for a folder of photos against what a person would do without okd_tf.

    python configs/results/photos.py --data_dir=TFDS_FOLDER --json=configs/results/photos.json

Five draws of some classes and some hundred images of CIFAR-100 are written as JPEG files of many sizes, as
people have them, and the test images of these classes as a holdout that no part of the tool sees. For each
draw and trial

    python tools/search.py --workdir=... --dataset=folder --data_dir=PHOTOS --image_size=64 --seed=TRIAL

runs as it is, but for --opponents=none: the plain networks that a run trains beside the student are no
part of what makes it. Its opponent is the network of Keras's tutorials (convolution, batch norm, ReLU, max
pooling; mirrored and shifted images; dropout; Adam with a cosine schedule), with no fewer parameters than the
student and no more CPU seconds than the whole run: of `_SCHEDULES` the one that is best on the holdout in
the mean of the draw's trials, which favours it. What is done is not done again; --draws picks some, --json
writes the table of all that is there.
"""

import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_DRAWS = {  # classes, training images of each, seed
    "kitchen": ("bottle,bowl,can,cup", 150, 1),
    "fruit": ("apple,orange,pear,sweet_pepper,mushroom", 60, 2),
    "vehicles": ("bicycle,bus,motorcycle,pickup_truck,streetcar,tractor", 100, 3),
    "plants": ("maple_tree,oak_tree,palm_tree,pine_tree,willow_tree,rose,tulip,sunflower", 25, 4),
    "beasts": ("wolf,fox,leopard,tiger", 25, 5),
}
_HELD_OUT = 100  # test images of each class
_SIZE = 64
_SCHEDULES = ((100, 32), (300, 32), (200, 16), (600, 32))  # epochs and batch of the opponent
_CHANNELS = (16, 32, 64, 96)  # of its convolutions; 79,988 parameters for four classes

_DATA = flags.DEFINE_string("data_dir", None, "prepared TFDS folder with cifar100", required=True)
_WORKDIR = flags.DEFINE_string("workdir", "runs/photos", "where photos, runs and results are kept")
_JSON = flags.DEFINE_string("json", "", "write the results of all draws and trials that are there")
_DRAW = flags.DEFINE_list("draws", list(_DRAWS), f"which to run: {', '.join(_DRAWS)}; empty: none")
_TRIALS = flags.DEFINE_integer("trials", 3, "runs of each, numbered from 0", lower_bound=1)
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def main(_):
    """Run what is not there yet, and write the table."""
    work = pathlib.Path(_WORKDIR.value)
    for draw in filter(None, _DRAW.value):
        if draw not in _DRAWS:
            sys.exit(f"--draws: unknown name '{draw}'; valid: {', '.join(_DRAWS)}")
    pairs = [(draw, trial) for trial in range(_TRIALS.value) for draw in _DRAW.value if draw]
    for number, (draw, trial) in enumerate(pairs, start=1):
        print(f"{draw}, trial {trial}: {number} of {len(pairs)}", flush=True)
        folder = work / draw
        _write_photos(folder, *_DRAWS[draw])
        found = _read(folder / f"trial_{trial}.json")
        if "student" not in found:
            found |= _run_okd(folder, trial)
            _write(folder / f"trial_{trial}.json", found)
        for epochs, batch in _SCHEDULES:
            name = f"{epochs} epochs, batch {batch}"
            there = found.setdefault("opponents", {}).get(name, {"params": 0})
            if there["params"] < found["params"] and not _too_long(found, epochs):
                found["opponents"][name] = _run_opponent(folder, trial, epochs, batch, found["params"])
                _write(folder / f"trial_{trial}.json", found)
        print(json.dumps(found), flush=True)
    if _JSON.value:
        _write(pathlib.Path(_JSON.value), table := _table(work))
        print(json.dumps(table["draws"], indent=2))


def _write_photos(folder, classes, count, seed):
    """Write photos/CLASS/*.jpg and holdout/CLASS/*.jpg, unless they are there."""
    if (folder / "holdout").exists():
        return
    import numpy as np
    import tensorflow_datasets as tfds
    from PIL import Image

    generator = np.random.default_rng(seed)
    builder = tfds.builder("cifar100", data_dir=_DATA.value)
    names = builder.info.features["label"].names
    for split, part, most in (("train", "photos", count), ("test", "holdout.part", _HELD_OUT)):
        written = dict.fromkeys(classes.split(","), 0)
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            name = names[int(example["label"])]
            if written.get(name, most) == most:
                continue
            width = int(generator.integers(48, 201))
            size = width, int(width * generator.uniform(0.9, 1.2))
            path = folder / part / name / f"{written[name]:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            photo = Image.fromarray(example["image"]).resize(size, Image.Resampling.BICUBIC)
            photo.save(path, quality=int(generator.integers(75, 96)))
            written[name] += 1
    (folder / "holdout.part").rename(folder / "holdout")


def _run_okd(folder, trial):
    """Run the README's command; return its CPU seconds, and accuracies on the holdout."""
    run = folder / f"run_{trial}"
    command = [sys.executable, str(_ROOT / "tools" / "search.py"), f"--workdir={run}", "--dataset=folder"]
    command += [f"--data_dir={folder / 'photos'}", f"--image_size={_SIZE}", f"--seed={trial}"]
    command += ["--opponents=none"]
    spent = _read(folder / f"cpu_{trial}.json").get("seconds", 0.0)  # of calls that were killed
    began = _cpu_seconds()
    try:
        with open(folder / f"run_{trial}.log", "a", encoding="utf-8") as log:
            subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)
    finally:
        spent += _cpu_seconds() - began
        _write(folder / f"cpu_{trial}.json", {"seconds": spent})
    images, labels = _holdout(folder)
    found = {"cpu_seconds": round(spent)}
    for name in ("baseline", "student"):
        network, logits = _answers(run / name / f"{name}.keras", images)
        found[name] = float((logits.argmax(-1) == labels).mean())
        found["params"] = network.count_params()
    teachers = [_answers(path, images)[1] for path in sorted((run / "teachers").glob("teacher_*.keras"))]
    found["teachers"] = [float((logits.argmax(-1) == labels).mean()) for logits in teachers]
    return found


def _answers(path, images):
    import keras

    network = keras.models.load_model(path, compile=False)
    return network, network.predict(images, batch_size=200, verbose=0)


def _holdout(folder):
    """Pixels as the tool sees them, and labels."""
    import numpy as np
    from PIL import Image

    from okd_tf.data import sizes

    images, labels = [], []
    for label, kind in enumerate(sorted((folder / "holdout").iterdir())):
        for path in sorted(kind.iterdir()):
            photo = np.asarray(Image.open(path).convert("RGB"))
            images.append(sizes.bring(photo[None], (_SIZE, _SIZE, 3), "crop")[0])
            labels.append(label)
    return np.stack(images).astype("float32"), np.array(labels)


def _run_opponent(folder, trial, epochs, batch, params):
    """Train the tutorial's network in a process of its own, whose CPU seconds are counted."""
    code = (
        "import runpy, sys; "
        f"runpy.run_path({__file__!r})['_train_opponent']"
        f"({str(folder)!r}, {trial}, {epochs}, {batch}, {params})"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _train_opponent(folder, trial, epochs, batch, params):
    import keras

    layers, size = keras.layers, (_SIZE, _SIZE)
    keras.utils.set_random_seed(trial)
    folder = pathlib.Path(folder)
    how = {"image_size": size, "crop_to_aspect_ratio": True}
    read = keras.utils.image_dataset_from_directory
    both = read(
        folder / "photos", batch_size=batch, seed=1, validation_split=0.1, subset="both", verbose=False, **how
    )
    train, val = (part.cache() for part in both)
    test = read(folder / "holdout", shuffle=False, verbose=False, **how)
    classes, steps = len(test.class_names), len(both[0])

    def built(channels):
        network = keras.Sequential([keras.Input((*size, 3)), layers.RandomFlip("horizontal")])
        network.add(layers.RandomTranslation(0.1, 0.1))
        network.add(layers.Rescaling(1 / 255))
        for count in channels:
            network.add(layers.Conv2D(count, 3, padding="same", use_bias=False))
            for layer in (layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()):
                network.add(layer)
        for layer in (layers.GlobalAveragePooling2D(), layers.Dropout(0.2)):
            network.add(layer)
        network.add(layers.Dense(classes, activation="softmax"))
        return network

    channels = _CHANNELS
    while (network := built(channels)).count_params() < params:
        channels = [count + max(1, count // 16) for count in channels]
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * steps)
    network.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    began = time.process_time()
    network.fit(train.shuffle(10_000).prefetch(2), validation_data=val, epochs=epochs, verbose=0)
    seconds = time.process_time() - began
    accuracy = network.evaluate(test, verbose=0)[1]
    print(json.dumps({"cpu_seconds": round(seconds), "accuracy": accuracy, "params": network.count_params()}))


def _too_long(found, epochs):
    """Return whether a shorter schedule with its batch has shown that one would not end in time."""
    known = [
        one["cpu_seconds"] / int(name.split()[0])
        for name, one in found["opponents"].items()
        if name.endswith("batch 32")
    ]
    return bool(known) and epochs * min(known) > 1.1 * found["cpu_seconds"]


def _in_time(found, name):
    """Return whether a schedule of the opponent took no more CPU than the run."""
    return name in found["opponents"] and found["opponents"][name]["cpu_seconds"] <= found["cpu_seconds"]


def _table(work):
    """Return the results of all trials that are there, and the paired differences of each draw."""
    draws = {}
    for draw, (classes, count, seed) in _DRAWS.items():
        trials = [_read(path) for path in sorted((work / draw).glob("trial_*.json"))]
        if not trials:
            continue
        fair = [
            name
            for name in trials[0]["opponents"]
            if all(
                one["opponents"].get(name, {}).get("cpu_seconds", 1e9) <= one["cpu_seconds"] for one in trials
            )
        ]
        best = max(
            fair, key=lambda name: statistics.mean(one["opponents"][name]["accuracy"] for one in trials)
        )
        gains = [one["student"] - one["opponents"][best]["accuracy"] for one in trials]
        draws[draw] = {
            "classes": classes,
            "images_per_class": count,
            "seed": seed,
            "student": statistics.mean(one["student"] for one in trials),
            "baseline": statistics.mean(one["baseline"] for one in trials),
            "opponent": statistics.mean(one["opponents"][best]["accuracy"] for one in trials),
            "opponent_is": best,
            "difference": statistics.mean(gains),
            "standard_error": statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else None,
            "trials": trials,
        }
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    mean = statistics.mean(one["difference"] for one in draws.values()) if draws else None
    return {"mean_difference": mean, "draws": draws, "commit": commit.stdout.strip()}


def _cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _write(path, found):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
