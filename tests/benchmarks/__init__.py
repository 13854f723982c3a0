"""What leek reaches on this machine, beside the figures that it is meant to reach."""
