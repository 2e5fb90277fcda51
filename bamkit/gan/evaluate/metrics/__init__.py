"""Metrics as functions of arrays. Nothing here reads a file, draws a page or knows what a run is."""
