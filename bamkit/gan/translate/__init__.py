"""Pictures of any size through a trained generator."""
