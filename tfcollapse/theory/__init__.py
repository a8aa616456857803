"""The paper's propositions as closed forms: NumPy and SciPy in float64, an equation number on every function."""
