"""Training past float64: a reference run in arbitrary precision, and lanes that follow it by their differences."""
