"""Call anyone's encoder and decoder, of any framework and with any form of outputs, as NumPy functions."""
