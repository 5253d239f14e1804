"""Architectures: what one is (spec), which there are (space), what they cost (cost), how to build one (build)."""
