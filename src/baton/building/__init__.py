"""From a graph in memory to rows."""
