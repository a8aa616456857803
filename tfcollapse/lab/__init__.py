"""The propositions put to the test: closed forms against descents, trained Keras models and deep networks."""
