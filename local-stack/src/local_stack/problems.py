"""What the runner tells a person when it cannot go on."""


class LaunchProblem(Exception):
    """One plain line that says what is wrong and what to do about it. Never holds a password."""
