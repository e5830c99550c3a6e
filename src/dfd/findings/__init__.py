"""What the paper claims from its experiments, and whether it holds in a run's metrics."""
