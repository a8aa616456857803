"""Declarations: one study per file."""
