"""Architectures: what one is (spec), which there are (space), what one costs (cost), how it is built (build)."""
