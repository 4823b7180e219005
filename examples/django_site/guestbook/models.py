"""One table: what visitors wrote in the guest book."""

from django.db import models


class Entry(models.Model):
    """What one visitor wrote."""

    name = models.CharField(max_length=40)
    text = models.TextField("message", max_length=400)
    written = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.name}: {self.text[:60]}"
