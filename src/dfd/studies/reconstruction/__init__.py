"""How well decoders reconstruct faces (paper, section 4.2: Figs. 3 to 7, Table 1)."""
