"""Published weights: where they come from, under which licence, and that they are what they were."""
