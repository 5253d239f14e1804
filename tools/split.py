"""Makes train/, val/ and test/ of a folder of images, so that teachers are trained on train/ alone.

    python tools/split.py --data_dir=photos --out=photos_split
    python tools/search.py --dataset=folder --data_dir=photos_split --teachers=... --workdir=runs/mine

photos/CLASS/... becomes photos_split/train/CLASS/..., val/CLASS/... and test/CLASS/...: symbolic links, or
copies with --copy. --val and --test are shares of each class, as 0.1, or numbers of images of each, as 20; 0
makes none. Files of the same bytes go into one split. splits.csv beside them lists what is where. Nothing is
written over; a killed call leaves nothing under the name of --out.
"""

from absl import flags

from okd_tf import cli
from okd_tf.sources import splitting

_DATA_DIR = flags.DEFINE_string("data_dir", "", "folder that has one of images for each class")
_OUT = flags.DEFINE_string("out", "", "folder to make; it must not be there")
_VAL = flags.DEFINE_float("val", 0.1, "share of each class for validation, or number of images of it")
_TEST = flags.DEFINE_float("test", 0.1, "share of each class for the test, or number of images of it")
_SEED = flags.DEFINE_integer("seed", 0, "another one draws other images")
_COPY = flags.DEFINE_boolean("copy", False, "copy files in place of linking to them")


def main():
    """Splits."""
    made = splitting.split(_DATA_DIR.value, _OUT.value, _VAL.value, _TEST.value, _SEED.value, _COPY.value)
    print(f"{_OUT.value}: {', '.join(f'{name} {count:,}' for name, count in made.items())}")


if __name__ == "__main__":
    cli.start(main, stopped="nothing was made")
