"""The Deep Face Decoder D: its network, its losses and its training (paper, section 3)."""
