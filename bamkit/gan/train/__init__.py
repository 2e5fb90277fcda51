"""Training two generators, one for each direction."""
