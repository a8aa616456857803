"""Test the paper's propositions: compare the closed forms with descents, trained Keras models and deep networks."""
