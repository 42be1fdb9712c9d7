"""Zoom films through the landscape of neural-network training."""
