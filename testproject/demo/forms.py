"""What the page asks for."""

from django import forms


class MailForm(forms.Form):
    """A mail to be sent in the background."""

    recipient = forms.EmailField(label="To", initial="reader@example.com")
    subject = forms.CharField(max_length=100, initial="Greetings from leek")
    message = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        initial="The page answered before this mail was sent.",
    )


class SlowForm(forms.Form):
    """How long the slow task takes."""

    seconds = forms.IntegerField(min_value=1, max_value=30, initial=5)
