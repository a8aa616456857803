"""Construct small VAEs, one for each kind of posterior collapse."""
