"""The methods of unpaired translation that a run can train with: networks, losses and the step of each."""
