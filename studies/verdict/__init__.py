"""What the runs of a study show: intervals over seeds, and a verdict that is computed."""
