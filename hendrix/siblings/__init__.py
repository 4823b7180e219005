"""Services beside the site, in the same tree: one file, one sibling. They run once, whatever ``--workers`` says."""
