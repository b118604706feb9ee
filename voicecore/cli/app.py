"""Owns the command line: its commands.

Nothing heavy is imported here: each command imports its own module when it runs, so that
`voicecore --help` stays as fast as Python starts. Options and help texts are in voicecore/options.
"""

from __future__ import annotations

import _thread
import gc
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicecore import __version__
from voicecore.cli.ending import end
from voicecore.cli.parameters import Options, add_command
from voicecore.console import network_env
from voicecore.console.errors import ExitCode
from voicecore.options.build import BuildOptions
from voicecore.options.call import CallOptions
from voicecore.options.clean import CleanOptions
from voicecore.options.deploy import DeployOptions
from voicecore.options.destroy import DestroyOptions
from voicecore.options.dev import DevOptions
from voicecore.options.docs import DocsOptions
from voicecore.options.invite import InviteOptions
from voicecore.options.logs import LogsOptions
from voicecore.options.project.add import AddOptions
from voicecore.options.project.adopt import AdoptOptions
from voicecore.options.project.eject import EjectOptions
from voicecore.options.project.init import InitOptions
from voicecore.options.project.update import UpdateOptions
from voicecore.options.releases.promote import PromoteOptions
from voicecore.options.releases.rollback import RollbackOptions
from voicecore.options.releases.versions import VersionsOptions
from voicecore.options.sessions.list import SessionsOptions
from voicecore.options.sessions.stop import StopOptions
from voicecore.options.status import StatusOptions
from voicecore.options.talk import TalkOptions
from voicecore.options.traces import TracesOptions
from voicecore.options.turn_check import TurnCheckOptions
from voicecore.options.upgrade_base import UpgradeBaseOptions

if TYPE_CHECKING:
    from voicecore.console.context import Context

# rich_markup_mode=None: rich's help costs more than all the rest of `--help` together.
app = typer.Typer(
    name="voicecore",
    help="Build, run and deploy voice agents on Amazon Bedrock AgentCore.",
    epilog="Start here:  voicecore init my-agent && cd my-agent && voicecore talk",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
turn_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def main(arguments: list[str] | None = None, context: Context | None = None) -> None:
    """Run the command line; always ends in SystemExit, as a process does."""
    if arguments is None:
        # The objects of imported modules stay: collecting garbage among them takes a tenth of
        # the start.
        gc.set_threshold(50_000)
        # SIGTERM does what Ctrl-C does: nothing is left running.
        signal.signal(signal.SIGTERM, _as_ctrl_c)
        sys.unraisablehook = _repeat_ctrl_c
        os.environ.update(network_env.completed(os.environ))
        if sys.argv[1:2] in (["--install-completion"], ["--show-completion"]) and sys.argv[2:]:
            # typer takes the name of a shell only where it does not detect the shell.
            os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    _root()(args=arguments, obj=context, prog_name="voicecore")


@cache
def _root() -> Callable[..., Any]:
    # Kept: `app` would build it again for each of the thousands of commands that tests run.
    return typer.main.get_command(app)


def _as_ctrl_c(_: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does: an event loop cancels its task and lets it finish cleanly."""
    handler = signal.getsignal(signal.SIGINT)
    # A shell's background jobs ignore Ctrl-C; SIGTERM must end them all the same.
    interrupt = handler if callable(handler) else signal.default_int_handler
    interrupt(signal.SIGINT, frame)


def _repeat_ctrl_c(discarded: sys.UnraisableHookArgs) -> None:
    """Repeat a Ctrl-C that Python discarded, as it does in destructors and weakref callbacks.

    Every import ends with such a callback, so a Ctrl-C during the start could have no effect.
    """
    if not issubclass(discarded.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(discarded)
        return
    import threading
    import time
    from traceback import walk_stack

    main_thread = threading.main_thread().ident or 0

    def interrupt() -> None:
        # Not while the hook runs: Python discards what is raised in it, too.
        while any(
            frame.f_code is _repeat_ctrl_c.__code__
            for frame, _ in walk_stack(sys._current_frames()[main_thread])  # pyright: ignore[reportPrivateUsage]
        ):
            time.sleep(0.01)
        if sys.platform == "win32":
            _thread.interrupt_main()
        else:  # a signal also ends a blocking call
            signal.pthread_kill(main_thread, signal.SIGINT)

    threading.Timer(0.01, interrupt).start()


def _command(
    name: str, options: type[Options], parent: typer.Typer = app
) -> Callable[[Callable[[Context, Options], ExitCode]], None]:
    """Return a decorator that makes a function the command of that name."""

    def register(run: Callable[[Context, Options], ExitCode]) -> None:
        def start(ctx: typer.Context, given: Options) -> None:
            from voicecore.console.context import Context

            context = ctx.obj or Context()
            end(context, lambda: run(context, given), given.json)

        add_command(parent, name, options, start)

    return register


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"voicecore {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that come before a command."""


@_command("init", InitOptions)
def init(context: Context, options: InitOptions) -> ExitCode:
    """Run `voicecore init`."""
    from voicecore.commands.project.init import run

    return run(context, options)


@_command("adopt", AdoptOptions)
def adopt(context: Context, options: AdoptOptions) -> ExitCode:
    """Run `voicecore adopt`."""
    from voicecore.commands.project.adopt import run

    return run(context, options)


@_command("add", AddOptions)
def add(context: Context, options: AddOptions) -> ExitCode:
    """Run `voicecore add`."""
    from voicecore.commands.project.add import run

    return run(context, options)


@_command("update", UpdateOptions)
def update(context: Context, options: UpdateOptions) -> ExitCode:
    """Run `voicecore update`."""
    from voicecore.commands.project.update import run

    return run(context, options)


@_command("eject", EjectOptions)
def eject(context: Context, options: EjectOptions) -> ExitCode:
    """Run `voicecore eject`."""
    from voicecore.commands.project.eject import run

    return run(context, options)


@_command("dev", DevOptions)
def dev(context: Context, options: DevOptions) -> ExitCode:
    """Run `voicecore dev`."""
    from voicecore.commands.dev import run

    return run(context, options)


@_command("talk", TalkOptions)
def talk(context: Context, options: TalkOptions) -> ExitCode:
    """Run `voicecore talk`."""
    from voicecore.commands.talk import run

    return run(context, options)


@_command("call", CallOptions)
def call(context: Context, options: CallOptions) -> ExitCode:
    """Run `voicecore call`."""
    from voicecore.commands.call import run

    return run(context, options)


@_command("build", BuildOptions)
def build(context: Context, options: BuildOptions) -> ExitCode:
    """Run `voicecore build`."""
    from voicecore.commands.build import run

    return run(context, options)


@_command("upgrade-base", UpgradeBaseOptions)
def upgrade_base(context: Context, options: UpgradeBaseOptions) -> ExitCode:
    """Run `voicecore upgrade-base`."""
    from voicecore.commands.upgrade_base import run

    return run(context, options)


@_command("deploy", DeployOptions)
def deploy(context: Context, options: DeployOptions) -> ExitCode:
    """Run `voicecore deploy`."""
    from voicecore.aws.login import AwsLogin
    from voicecore.commands.deploy import run
    from voicecore.image.part_image import PartImages

    login = AwsLogin(options.profile, context.interactive)
    return run(context, options, login, PartImages(context, login, options.builder))


@_command("versions", VersionsOptions)
def versions(context: Context, options: VersionsOptions) -> ExitCode:
    """Run `voicecore versions`."""
    from voicecore.commands.releases.versions import run

    return run(context, options)


@_command("promote", PromoteOptions)
def promote(context: Context, options: PromoteOptions) -> ExitCode:
    """Run `voicecore promote`."""
    from voicecore.commands.releases.promote import run

    return run(context, options)


@_command("rollback", RollbackOptions)
def rollback(context: Context, options: RollbackOptions) -> ExitCode:
    """Run `voicecore rollback`."""
    from voicecore.commands.releases.rollback import run

    return run(context, options)


@_command("invite", InviteOptions)
def invite(context: Context, options: InviteOptions) -> ExitCode:
    """Run `voicecore invite`."""
    from voicecore.commands.invite import run

    return run(context, options)


@_command("destroy", DestroyOptions)
def destroy(context: Context, options: DestroyOptions) -> ExitCode:
    """Run `voicecore destroy`."""
    from voicecore.commands.destroy import run

    return run(context, options)


@_command("logs", LogsOptions)
def logs(context: Context, options: LogsOptions) -> ExitCode:
    """Run `voicecore logs`."""
    from voicecore.commands.logs import run

    return run(context, options)


@_command("traces", TracesOptions)
def traces(context: Context, options: TracesOptions) -> ExitCode:
    """Run `voicecore traces`."""
    from voicecore.commands.traces.command import run

    return run(context, options)


@_command("status", StatusOptions)
def status(context: Context, options: StatusOptions) -> ExitCode:
    """Run `voicecore status`."""
    from voicecore.commands.status import run

    return run(context, options)


@_command("sessions", SessionsOptions)
def sessions(context: Context, options: SessionsOptions) -> ExitCode:
    """Run `voicecore sessions`."""
    from voicecore.commands.sessions.list import run

    return run(context, options)


@_command("stop", StopOptions)
def stop(context: Context, options: StopOptions) -> ExitCode:
    """Run `voicecore stop`."""
    from voicecore.commands.sessions.stop import run

    return run(context, options)


@_command("clean", CleanOptions)
def clean(context: Context, options: CleanOptions) -> ExitCode:
    """Run `voicecore clean`."""
    from voicecore.commands.clean import run

    return run(context, options)


@_command("docs", DocsOptions)
def docs(context: Context, options: DocsOptions) -> ExitCode:
    """Run `voicecore docs`."""
    from voicecore.commands.docs import run

    return run(context, options)


app.add_typer(turn_app, name="turn", help="Check the TURN relays that WebRTC calls go through.")


@_command("check", TurnCheckOptions, turn_app)
def turn_check(context: Context, options: TurnCheckOptions) -> ExitCode:
    """Run `voicecore turn check`."""
    from voicecore.commands.turn_check import run

    return run(context, options)
