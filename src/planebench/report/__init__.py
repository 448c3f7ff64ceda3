"""Reports: a result for people and for programs."""
