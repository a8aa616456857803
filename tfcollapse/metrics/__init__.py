"""Measure posteriors, residuals, spectra of images and signals in layers: arrays in, numbers out."""
