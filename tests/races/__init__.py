"""Two connections that really race: the choreography, and the naive variants that must lose."""
