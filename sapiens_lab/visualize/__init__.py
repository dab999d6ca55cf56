"""Images of samples and predictions: arrays in, RGB arrays out."""
