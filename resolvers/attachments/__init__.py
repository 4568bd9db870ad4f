"""Attachments: received as a form, kept, opened, and removed where nobody sends them."""
