"""Fine-tuning: a pretrained network with a new last layer, trained as a whole on a labelled set."""
