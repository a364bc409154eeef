"""The page of commands."""

from tagmill.docs.generate.commands import COMMANDS, commands_page, help_of


def test_help_has_no_colours_no_trailing_blanks_and_a_fixed_width() -> None:
    text = help_of("corpus lint")
    assert text.startswith("usage: tagmill corpus lint")
    assert "\x1b" not in text
    assert all(line == line.rstrip() and len(line) <= 118 for line in text.splitlines())


def test_every_command_has_a_section() -> None:
    page = commands_page()
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [
        f"tagmill {name}" for name in COMMANDS
    ]
