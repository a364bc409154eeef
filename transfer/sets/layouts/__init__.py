"""Readers of published sets as torchvision's download leaves them, whose labels are in lists or `.mat` files."""
