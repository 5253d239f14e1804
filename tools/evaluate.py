"""Reads the test split once with the workdir's student and baseline, or with the network of --student."""

from okd_tf import cli

if __name__ == "__main__":
    cli.main(lambda settings: ("evaluate", "report"))
