"""What must not come in: takedown rules and blocklists."""
