"""``hx completion bash|zsh|fish``: a script that makes the Tab key know the commands and options, made of their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from twisted.python import usage
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]

from hendrix.cli import COMMANDS
from hendrix.options import TABLE, flag

FILES, DIRECTORIES = "files", "directories"


@dataclass(frozen=True)
class Option:
    """One of them: ``--name``.

    :ivar value: None if it takes none; else `FILES`, `DIRECTORIES`, the words that it may be, or "" for anything.
    """

    name: str
    help: str
    value: str | None


def run(words: Sequence[str]) -> None:
    """Print it."""
    if len(words) != 1 or words[0] not in SHELLS:
        raise usage.UsageError("completion: name a shell: hx completion bash, hx completion zsh or hx completion fish")
    print(SHELLS[words[0]](), end="")


def serving() -> list[Option]:
    """The options of hendrix and of twistd, those of hendrix where both have one."""
    own = [
        Option(flag(name), row.help.partition(". ")[0].rstrip("."), _value(row.complete) if row.value else None)
        for name, row in TABLE.items()
    ]
    others = [one for one in _of(ServerOptions()) if one.name not in {known.name for known in own}]
    return own + others


def of_command(name: str) -> list[Option]:
    """What may follow a command."""
    module = import_module(f"hendrix.cli.{COMMANDS[name].module}")
    asking = getattr(module, "Options", None) or getattr(module, "Asking", None)
    if not hasattr(module, "Asking"):
        return serving() if name in ("serve", "start", "check") else []
    assert asking is not None
    return _of(asking())


def words_of(name: str) -> list[str]:
    """The words that may follow a command."""
    return sorted(SHELLS) if name == "completion" else []


def _of(options: usage.Options) -> list[Option]:
    helps = {row[0]: row[3] for row in _rows(options, "optParameters")} | {row[0]: row[2] for row in _rows(options, "optFlags")}
    completers = getattr(options, "compData", None)
    actions = completers.optActions if completers is not None else {}
    found = []
    for long in options.longOpt:
        name = long.rstrip("=")
        if name in ("help", "version"):
            continue
        words = helps.get(name) or (getattr(options, f"opt_{name.replace('-', '_')}", None).__doc__ or "")
        value = FILES if name in ("control", "pidfile") else _value(actions.get(name)) if long.endswith("=") else None
        found.append(Option("--" + name.replace("_", "-"), " ".join(words.split()).partition(". ")[0].rstrip("."), value))
    return sorted(found, key=lambda one: one.name)


def _rows(options: usage.Options, table: str) -> list[list[str]]:
    return [[*row, "", "", ""] for kind in type(options).__mro__ for row in vars(kind).get(table, ())]


def _value(completer: object) -> str:
    match completer:
        case usage.CompleteDirs():
            return DIRECTORIES
        case usage.CompleteFiles():
            return FILES
        case usage.CompleteList():
            return " ".join(completer._items)
        case _:
            return ""


def _shown() -> list[str]:
    return [name for name, command in COMMANDS.items() if command.help]


def bash() -> str:
    cases = []
    for name in ["", *COMMANDS]:
        options = of_command(name) if name else serving()
        words = [one.name + ("=" if one.value is not None else "") for one in options] + words_of(name) + ([] if name else _shown())
        cases.append(f"        {name or '*'}) words='{' '.join(words)}' ;;")
    values = {one.name: one.value for name in COMMANDS for one in of_command(name) if one.value}
    arguments = [f'        {name}) COMPREPLY=($(compgen {_compgen(value)} -- "$value")) ;;' for name, value in values.items()]
    return BASH.replace("@CASES@", "\n".join(cases[1:] + cases[:1])).replace("@VALUES@", "\n".join(arguments))


def _compgen(value: str) -> str:
    return {FILES: "-f", DIRECTORIES: "-d"}.get(value, f"-W '{value}'")


BASH = """\
# For bash: hx completion bash > ~/.local/share/bash-completion/completions/hx
_hx() {
    local word=${COMP_WORDS[COMP_CWORD]} option= value= words
    # bash takes = for a word of its own.
    if [[ $word == "=" ]]; then
        option=${COMP_WORDS[COMP_CWORD-1]}
    elif [[ ${COMP_WORDS[COMP_CWORD-1]} == "=" ]]; then
        option=${COMP_WORDS[COMP_CWORD-2]} value=$word
    fi
    if [[ $option == --* ]]; then
        case $option in
@VALUES@
        esac
        return
    fi
    case ${COMP_WORDS[1]} in
@CASES@
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2> /dev/null
}
complete -F _hx hx hendrix
"""


def zsh() -> str:
    branches = []
    for name in COMMANDS:
        rest = f" '*:word:({' '.join(words_of(name))})'" if words_of(name) else ""
        branches.append(f"    {name}) shift words; (( CURRENT-- )); _arguments{_zsh_options(of_command(name))}{rest} ;;")
    commands = " ".join(_quoted(f"{name}:{COMMANDS[name].help}") for name in _shown())
    return f"""\
#compdef hx hendrix
# For zsh: hx completion zsh > a file _hx in a directory of $fpath
_hx() {{
  case $words[2] in
{chr(10).join(branches)}
    *)
      local -a commands=({commands})
      (( CURRENT == 2 )) && _describe command commands
      _arguments{_zsh_options(serving())} ;;
  esac
}}
_hx "$@"
"""


def _zsh_options(options: Sequence[Option]) -> str:
    actions = {FILES: "_files", DIRECTORIES: "_files -/", "": " "}
    specs = []
    for one in options:
        help = one.help.replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
        value = "" if one.value is None else f":value:{actions.get(one.value) or f'({one.value})'}"
        specs.append(" " + _quoted(f"*{one.name}{'=' if value else ''}[{help}]{value}"))
    return "".join(specs)


def fish() -> str:
    lines = ["# For fish: hx completion fish > ~/.config/fish/completions/hx.fish"]
    for name in _shown():
        lines.append(f"complete -c hx -n __fish_use_subcommand -f -a {name} -d {_quoted(COMMANDS[name].help)}")
    lines += [_fish_option("__fish_use_subcommand", one) for one in serving()]
    for name in COMMANDS:
        seen = f"'__fish_seen_subcommand_from {name}'"
        lines += [_fish_option(seen, one) for one in of_command(name)]
        lines += [f"complete -c hx -n {seen} -f -a {word}" for word in words_of(name)]
    return "\n".join([*lines, "complete -c hendrix -w hx", ""])


def _fish_option(condition: str, one: Option) -> str:
    values = {None: "", FILES: " -rF", DIRECTORIES: " -xa '(__fish_complete_directories)'", "": " -x"}
    value = values.get(one.value, f" -xa '{one.value}'")
    return f"complete -c hx -n {condition} -l {one.name[2:]}{value} -d {_quoted(one.help)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
