"""What may come in."""

from django import forms
from django.utils.text import slugify

from chat.models import Message, Room


class SayForm(forms.ModelForm):
    """A message."""

    class Meta:
        model = Message
        fields = ["key", "text"]


class RoomForm(forms.ModelForm):
    """A new room; its address is made of its name."""

    class Meta:
        model = Room
        fields = ["name", "about"]

    def clean_name(self) -> str:
        """Refuse a name that gives no address, or one that is taken."""
        name: str = self.cleaned_data["name"]
        self.instance.slug = slugify(name)
        if not self.instance.slug:
            raise forms.ValidationError("A name needs a letter or a digit of the Latin alphabet.")
        if Room.objects.filter(slug=self.instance.slug).exists():
            raise forms.ValidationError("There is such a room already.")
        return name
