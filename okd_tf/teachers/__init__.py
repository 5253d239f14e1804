"""The ensemble: training it, asking it, saying who in it is right, and storing what it says."""
