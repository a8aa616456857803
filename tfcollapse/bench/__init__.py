"""Time training steps against other ways to train the same networks, and against a matrix product."""
