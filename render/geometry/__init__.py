"""Where samples and views lie: tiles of the lattice, axes, viewports, the path of the camera. It knows no training."""
