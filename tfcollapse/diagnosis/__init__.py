"""Diagnose anyone's VAE: measure it through its encoder and decoder, judge its collapse, find out who is to blame."""
