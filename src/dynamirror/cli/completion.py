"""`dynamirror completion`: the script that teaches a shell our commands and flags."""

import click
from click.shell_completion import get_completion_class

from dynamirror.cli.options import OneLine

HELP = """Print the script that completes commands and flags in a shell.

\b
  bash  echo 'eval "$(dynamirror completion bash)"' >> ~/.bashrc
  zsh   echo 'eval "$(dynamirror completion zsh)"' >> ~/.zshrc
  fish  dynamirror completion fish > ~/.config/fish/completions/dynamirror.fish
"""


def _print_script(shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root()
    click.echo(kind(root.command, {}, "dynamirror", "_DYNAMIRROR_COMPLETE").source())


command = OneLine(
    "completion",
    callback=_print_script,
    params=[click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]))],
    help=HELP,
)
