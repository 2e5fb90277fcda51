"""What is evaluated: translations beside their sources, of splits and of plain folders."""
