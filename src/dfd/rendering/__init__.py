"""What a reader looks at: grids of images, and curves; knows no study."""
