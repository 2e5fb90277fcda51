"""Forget: a picture is removed from everything in the workspace, and a tombstone keeps it from coming back."""
