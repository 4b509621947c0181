"""The report of a run as one page: what is read back, what is said of it, and how it looks."""
