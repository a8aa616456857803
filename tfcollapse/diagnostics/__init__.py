"""Measurements on arrays: what a posterior and its reconstructions look like."""
