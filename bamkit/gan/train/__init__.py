"""Training a CycleGAN."""
