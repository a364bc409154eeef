"""Pages of the documentation that are made from the code and from bench results, and the folder that the site is built from."""
