"""What HTML pages of several rooms share: templates, style, inline images."""
