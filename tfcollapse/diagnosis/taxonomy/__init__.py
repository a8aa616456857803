"""Construct small VAEs for each category of posterior collapse, and diagnose them."""
