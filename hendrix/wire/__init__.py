"""Sans-I/O protocol code: bytes go in, calls come out. Nothing here knows Twisted, a socket, a thread or a clock."""
