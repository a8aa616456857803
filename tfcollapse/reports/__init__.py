"""Write every page, Markdown or HTML, from tables and records; without TensorFlow."""
