"""Models that are trained: where they are read from, what a new run takes from one, and the folder that is given to others."""
