"""Worker processes: the parent that binds and watches, the children that serve, and the link between them."""
