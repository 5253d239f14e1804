"""Writes SavedModel and TFLite files of the workdir's student, or of the network of --student."""

from okd_tf import cli

if __name__ == "__main__":
    cli.main(lambda settings: ("export", "report"))
