"""Images that the package carries."""
