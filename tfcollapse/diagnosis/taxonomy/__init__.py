"""Build small VAEs whose cause of collapse is known, and hold the diagnosis against it."""
