"""The report page: one HTML file without network that shows where the rows of a corpus went, and what it holds."""
