"""The trainer, translation and evaluation. Never imports bamkit.curate."""
