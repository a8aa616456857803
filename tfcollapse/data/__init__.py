"""Read images, and draw the random numbers of a run."""
