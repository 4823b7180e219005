"""The two forms of the site."""

from django import forms

from guestbook.models import Entry


class EntryForm(forms.ModelForm):
    """Sign the guest book."""

    class Meta:
        model = Entry
        fields = ["name", "text"]
        widgets = {"text": forms.Textarea(attrs={"rows": 3})}


class UploadForm(forms.Form):
    """Hand in one file."""

    file = forms.FileField(max_length=200)
