"""What a corpus asks of a cluster: `tagmill corpus plan`."""
