"""Features: what a network without its last layer makes of the images of a set."""
