"""Which sample comes when, on which rank: pure arithmetic, without torch."""
