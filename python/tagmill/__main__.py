"""`python -m tagmill`: the same as the `tagmill` command."""

from tagmill.cli import main

main()
