"""codistill: networks that learn together."""
