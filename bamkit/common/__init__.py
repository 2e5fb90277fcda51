"""What both halves and the commands share. Imports nothing of bamkit outside this folder."""
