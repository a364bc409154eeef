"""What a step of the optimiser computes."""
