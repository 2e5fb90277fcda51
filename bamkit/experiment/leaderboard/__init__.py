"""Training methods compared: every method with every seed, measured once, with what it costs and what it wins."""
