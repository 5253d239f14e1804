"""Trains the teachers, or takes over those of --teachers, and says who of them is right (diagnosis.json)."""

from okd_tf import cli

if __name__ == "__main__":
    cli.main(lambda settings: ("teachers",))
