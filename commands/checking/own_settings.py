"""Whether the settings can be used, and name nothing that is no setting."""

from commands.checking.findings import Finding, note, ok, wrong
from settings import Problem, Settings, unknown_names


def check_settings(settings: Settings, problems: list[Problem]) -> list[Finding]:
    """Return what is wrong with the settings as they are written."""
    found = [_of_problem(problem) for problem in problems]
    for unknown in unknown_names():
        said, separator, nearest = unknown.partition("; did you mean ")
        remedy = f"rename it to {nearest.rstrip('?')}" if separator else "remove it"
        found.append(wrong(said, remedy) if separator else note(said, remedy))
    if not found:
        changed = sum(
            getattr(settings, name) != field.get_default()
            for name, field in Settings.model_fields.items()
        )
        found.append(ok(f"ENV={settings.env}; {changed} settings differ from their defaults"))
    return found


def _of_problem(problem: Problem) -> Finding:
    where = f"the line of {problem.name} in .env or the environment" if problem.name else "them"
    said = f"{problem.name}: {problem.text}" if problem.name else problem.text
    return wrong(said, f"correct {where}; .env.example says what each setting takes")
