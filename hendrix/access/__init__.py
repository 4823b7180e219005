"""Lines of the access log: what is in them, and in which form. Values in, text out; no files, no Twisted."""
