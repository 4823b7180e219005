"""Management commands, for INSTALLED_APPS with hendrix.django."""
