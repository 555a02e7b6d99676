"""The error whose message is written for the user."""


class UserError(ValueError):
    """What was wrong, the value, and what to do, in a message that is shown as it is, without a traceback."""
