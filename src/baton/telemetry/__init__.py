"""The seam through which everything that happens is told."""
