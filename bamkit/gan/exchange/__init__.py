"""Trained networks for other programs, and other programs' networks for bamkit."""
