"""Diagnosis of a model, anyone's: measured through its encoder and decoder, then judged by the paper's section 3."""
