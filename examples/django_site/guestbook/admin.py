"""The guest book in the admin."""

from django.contrib import admin

from guestbook.models import Entry


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):
    """Entries can be searched, read and struck out."""

    list_display = ["name", "text", "written"]
    search_fields = ["name", "text"]
