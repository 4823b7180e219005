"""The channel: the only package that touches a transport.

A *site* is an application on a listener. Its plain sockets (tcp, unix) take the *fast lane*: the crew's workers accept, read, call the
application and write by themselves. Every other transport (TLS, haproxy:, onion:, ...) takes the *reactor lane*: the reactor reads and
writes, a worker calls the application in between. Both lanes keep the rule of the baton: at any time one thread owns a connection.
"""
