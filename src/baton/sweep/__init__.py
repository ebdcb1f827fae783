"""The periodic sweep: what it settles, announces, rescues, expires, observes and prunes."""
