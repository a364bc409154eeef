"""Templates escape what they are given, and miss nothing silently."""

import pytest
from jinja2 import UndefinedError

from tagmill.pages.templates import page_environment, visible


def test_long_text_is_cut_and_other_values_are_their_text() -> None:
    assert visible("x" * 1_000_000, 20) == "x" * 17 + "..." and visible(None) == "None"


def test_values_are_escaped_and_missing_names_are_errors() -> None:
    environment = page_environment("tagmill.browse.report")
    made = environment.from_string("<b title='{{ x|visible }}'>{{ x|visible(12) }}</b> {{ n|number }}")
    assert made.render(x="'<i>\u202e", n=12345) == "<b title='&#39;&lt;i&gt;\\u202e'>&#39;&lt;i&gt;\\u202e</b> 12,345"
    with pytest.raises(UndefinedError):
        environment.from_string("{{ missing }}").render()
