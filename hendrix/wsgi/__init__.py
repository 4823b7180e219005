"""The WSGI side: finding the application, its environ, its body, its call (PEP 3333). Knows an outlet, not a transport."""
