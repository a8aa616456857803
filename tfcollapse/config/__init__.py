"""Declare runs: the fields, their checks, and runs made from runs."""
