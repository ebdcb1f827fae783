"""One attempt of one claimed job: gate, call, outcome."""
