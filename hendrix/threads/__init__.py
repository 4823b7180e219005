"""Threads: the crew that runs blocking code, and the mailbox to the reactor. Knows no sockets and no HTTP."""
