"""Read images and draw random numbers."""
