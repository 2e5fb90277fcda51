"""The commands of training, translation and evaluation, one module each."""
