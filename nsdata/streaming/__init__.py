"""Rows become batches: order, reading ahead, decoding, soft labels."""
