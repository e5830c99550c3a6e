"""Templates as an identity part and an attribute part (paper, 4.5: Fig. 17)."""
