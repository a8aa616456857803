"""Train the runs of a study, watch them, collect what they leave."""
