"""Crosstown traffic: work that starts when the response is out over the wire.

A task of a response may start when the application's iterable is exhausted and closed, and either the last byte of the response has left
this process for the kernel (for TLS: the encrypted bytes), or the client is gone, or the wire timeout has passed, which is logged.
"""
