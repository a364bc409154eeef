"""Images that a teacher's scores choose for each class, as a view of the corpus, with a page of what was chosen."""
