"""One table."""

from django.db import models


class Line(models.Model):
    """A line of the ledger."""

    text = models.CharField(max_length=200)
