"""Evaluation: did the mood change, did the picture survive, would a reviewer believe it."""
