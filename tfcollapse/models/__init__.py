"""Build the paper's autoencoders and networks, and read them from .keras files."""
