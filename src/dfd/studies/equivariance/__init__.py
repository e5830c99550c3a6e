"""What rotation, translation and scaling do to templates, and maps that undo it (paper, 4.3.1: Figs. 8 to 10, Table 2)."""
