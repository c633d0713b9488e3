"""Start-up of a headless kernel. In: `INSTIT_THREAD_LOG`, a file's path. Out: every uncaught thread error,
one a line.

Run as `PYTHONSTARTUP` by the notebook runner, in the notebook's own namespace: it leaves no name behind.
Without it an error in a thread would only be printed, and the notebook would pass.
"""


def _watch() -> None:
    import os
    import threading

    log = os.environ.get("INSTIT_THREAD_LOG")
    usual = threading.excepthook

    def keep(args) -> None:
        if log and args.exc_type is not SystemExit:
            line = f"{args.exc_type.__name__}: {args.exc_value}".replace("\n", " ")
            with open(log, "a", encoding="utf-8") as file:
                file.write(line + "\n")
        usual(args)

    threading.excepthook = keep


_watch()
del _watch
