"""Grids, volumes and masks: geometry, resampling, cropping."""
