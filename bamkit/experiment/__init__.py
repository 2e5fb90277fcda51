"""Whole ways as recipes: the demo on the sample, the published study."""
