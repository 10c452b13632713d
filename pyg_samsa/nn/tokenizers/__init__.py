"""Tokenizers: from the tensors of one modality to `Tokens`."""
