"""Sorting pictures by eye: a page in the browser, and the log of decisions that `bamkit select` replays."""
