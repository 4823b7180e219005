"""A Django project for the tests: one table, and views that queue tasks. The tests use it in their own process and behind real servers."""
