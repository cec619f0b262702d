"""The rules: each a function that takes a System and gives what is wrong with it, as (object's name, text)."""
RULES = {}


def rule(function):
    """Registers it under its name, with '-' for '_'. Its docstring is what it says of good manifests."""
    RULES[function.__name__.replace("_", "-")] = function
    return function


def findings(system, name):
    """What the rule of that name says of it, a line each."""
    return [f"{thing}: {text}" for thing, text in RULES[name](system)]
