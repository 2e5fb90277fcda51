"""The CycleGAN trainer, translation and evaluation. Never imports bamkit.curate."""
