"""Train runs: the loop, the session of one run, its engine and its checkpoints, devices and workers."""
