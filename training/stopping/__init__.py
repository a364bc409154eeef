"""How a signal ends a run: at once before its steps, and after one of them, with a checkpoint."""
