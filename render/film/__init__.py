"""From a scene to a film: the plan, the training, pictures composed from samples, and the files that are delivered."""
