"""Templates to look at: a local page over them, and tables that other viewers open."""
