"""Measure posteriors, spectra and signals: arrays in, numbers out."""
