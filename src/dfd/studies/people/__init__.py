"""Templates of one person: clusters and aggregates (paper, 4.4: Figs. 14 to 16)."""
