"""What is seen of a run: metrics, samples, validation, the page."""
