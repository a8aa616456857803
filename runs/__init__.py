"""Declare the studies, one in each file."""
