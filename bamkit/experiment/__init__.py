"""The published experiment as a recipe, at the size of the study and of a demo on the sample."""
