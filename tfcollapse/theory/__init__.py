"""Compute the paper's propositions as closed forms, with NumPy and SciPy in float64. Each names its equation."""
