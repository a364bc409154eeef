"""The papers' studies: for each its arms, what is equal among them, and the claims with how far each is verified."""
