"""A capacity search for people and programs: on the terminal, as JSON, as a page."""
