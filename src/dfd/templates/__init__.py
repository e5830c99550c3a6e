"""Templates e = ξ(x): their store, and linear maps between template spaces (paper, section 4.3.1)."""
