"""Write trained models as SavedModel or .keras, and check them in a fresh process."""
