"""What architectures share: layers, checks of shapes and options, pretrained weights, libraries of networks."""
