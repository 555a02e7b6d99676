"""The error whose message is written for the user."""


class UserError(ValueError):
    """An error that the user can fix: its message states the problem, the value and what to do.

    It is shown as it is, without a traceback.
    """
