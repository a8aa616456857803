"""Declare studies, train their runs, show the progress, and collect the records."""
