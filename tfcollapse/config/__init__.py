"""What a run is: its declared fields, their checks, runs made from runs; and what an architecture is."""
