"""tfcollapse: which kind of posterior collapse a VAE has, what causes it, and the paper's experiments."""

__version__ = "0.1.0"
