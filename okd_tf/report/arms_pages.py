"""The page and the plot beside the JSON file of arms' results, made from that file alone."""

import os

from okd_tf import files
from okd_tf.report import arms, arms_plot

SUFFIXES = (".json", ".md", ".png")


def write(found, path):
    """Write the page and the plot of results, as `arms.read` returns them, beside their JSON file."""
    with files.replacing(beside(path, ".md"), "--json") as temporary:
        temporary.write_text(arms.markdown(found), encoding="utf-8")
    arms_plot.plot(found, beside(path, ".png"))


def beside(path, suffix):
    """Return the path beside a JSON file with another suffix."""
    return f"{os.path.splitext(path)[0]}{suffix}"
