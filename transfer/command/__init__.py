"""`tagmill transfer` and `tagmill transfer compare`: protocols in a row, their outcomes in files, and the report."""
