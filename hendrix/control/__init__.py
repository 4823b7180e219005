"""Commands to a running hendrix, by whatever way they come: the control socket, a worker's parent, a handler in the process itself."""
