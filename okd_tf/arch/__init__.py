"""Architectures: what they are (spec), how many there are (space), what they cost (cost), and build."""
