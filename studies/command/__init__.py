"""`tagmill study`: plans a study, carries out its runs, judges them, and prints what was found."""
