"""Architectures: what one is (spec), which there are (space), what they cost (cost), how one is built (build)."""
