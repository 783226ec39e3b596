"""Shrink a trained network: prune, share, code; the decoding half needs no torch."""
