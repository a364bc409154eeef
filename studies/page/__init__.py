"""A study's page and its facts as JSON: what the paper found, what was found here, the verdicts, and every run."""
