"""click options made from the flag table, and the help that shows them in groups.

Values stay text here: `settings/parse` converts and checks, so that the command line, the variables and the
library form refuse the same things in the same words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from dynamirror.settings.flag import Flag
from dynamirror.settings.flags import FLAGS

# Of the context's `meta`: the program's own words, as they came.
WORDS = "dynamirror.words"


class FlagOption(click.Option):
    """One flag of the table. Given several times it must say the same each time, under whatever spelling."""

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        switch = flag.kind == "switch"
        super().__init__(
            [*flag.spellings, flag.field],
            # Only when true: a flat False would make the value optional.
            is_flag=switch or None,
            multiple=not switch,
            metavar=flag.metavar or None,
            help=help_of(flag),
            callback=None if switch else _one_value,
            shell_complete=_complete_choice if flag.choices else None,
        )

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Our spelling on the left; the others, the default and the variable at the end of the text."""
        left = f"{self.flag.name} {self.flag.metavar}".strip()
        return left, help_of(self.flag)


class OneLine(click.Command):
    """A command whose refusals name the whole word that was typed, and this command's own help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's, which takes -word for a heap of short flags and forgets the command where a value is missing."""
        typed = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            if isinstance(error, click.NoSuchOption) and len(error.option_name) == 2:
                words = (word.partition("=")[0] for word in typed if word.startswith(error.option_name))
                raise click.NoSuchOption(next(words, error.option_name), ctx=ctx) from error
            raise


class GroupedHelp(OneLine):
    """A command whose flags are listed under the headings of the table."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Table order, one section a heading, then what click adds itself (--help)."""
        records: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            # What an argument is stands in the command's own help.
            if isinstance(param, click.Argument):
                continue
            record = param.get_help_record(ctx)
            if record is not None:
                heading = param.flag.heading if isinstance(param, FlagOption) else "Other"
                records.setdefault(heading, []).append(record)
        for heading, rows in records.items():
            with formatter.section(heading):
                formatter.write_dl(rows, col_max=30)


def replication_options(flags: Sequence[Flag] = FLAGS) -> list[click.Parameter]:
    """All options of `replicate`, in the table's order."""
    return [FlagOption(flag) for flag in flags]


def given_values(parameters: Mapping[str, Any]) -> dict[str, str | bool]:
    """What was typed, by field; flags that were not given are left out."""
    return {field: value for field, value in parameters.items() if value not in (None, False, ())}


def help_of(flag: Flag) -> str:
    """The flag's help with default, limits, other spellings and variable."""
    parts = [flag.help]
    if flag.choices:
        parts.append(f"One of {', '.join(flag.choices)}.")
    if flag.required:
        parts.append("Required.")
    elif flag.default is not None:
        limits = f" ({flag.limits})" if flag.limits else ""
        parts.append(f"Default: {flag.default}{limits}.")
    elif flag.derived:
        parts.append(f"Default: {flag.derived}.")
    parts.append(f"[{', '.join((*flag.java, flag.variable))}]")
    return " ".join(parts)


def _one_value(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> str | None:
    """The single value; None when the flag was not given."""
    for value in values:
        if value.partition("=")[0] in _known_spellings(ctx):
            raise click.UsageError(f"{param.opts[0]} has no value, the next word is {value}", ctx)
    if len(set(values)) > 1:
        spellings = " / ".join(param.opts)
        raise click.UsageError(f"{spellings} is given with different values: {', '.join(values)}", ctx)
    return values[0] if values else None


def _known_spellings(ctx: click.Context) -> set[str]:
    return {spelling for param in ctx.command.params for spelling in param.opts}


def _complete_choice(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    assert isinstance(param, FlagOption)
    return [choice for choice in param.flag.choices if choice.lower().startswith(incomplete.lower())]
