"""Names the labels of images by a trained model: `tagmill predict`."""
