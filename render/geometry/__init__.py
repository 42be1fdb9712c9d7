"""The geometry of samples and views: tiles, axes, viewports, the path of the camera. Nothing here trains."""
