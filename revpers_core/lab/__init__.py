"""What made and measures the pocket model: face world, training, gates, curve, attacks, baselines, steps."""
