"""How decoders and recognizers learn: losses, training, checkpoints (paper, section 3)."""
