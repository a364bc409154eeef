"""The demo: a small web of drawn images, hashtags as people write them, and planted faults with a table of the truth."""
