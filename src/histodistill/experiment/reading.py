"""An experiment's file is read, and what is wrong in it is told in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from histodistill.errors import InputError, meant
from histodistill.experiment.settings import Experiment
from histodistill.experiment.unused import unused_settings
from histodistill.gate.text import read_yaml, yaml_fault

Raw = dict[str, Any]


def read_experiment(path: Path, adapted: Callable[[Raw], Raw] | None = None) -> Experiment:
    r"""Read and validate an experiment file; its paths are relative to its own folder.

    Args:
        path: The YAML file.
        adapted: Makes another experiment of the file's settings, before they are validated.

    Raises:
        InputError: Not YAML, settings that are wrong, or that nothing in the experiment reads, all
            of them at once.

    Examples:
        All that is wrong is told at once.

        >>> _ = Path("experiment.yaml").write_text("name: A cohort\ncohorts: {}\n")
        >>> try:
        ...     read_experiment(Path("experiment.yaml"))
        ... except InputError as error:
        ...     print(*error.problems, sep="\n")
        experiment.yaml: cohort: is missing
        experiment.yaml: targets: is missing
        experiment.yaml: methods: is missing
        experiment.yaml: output: is missing
        experiment.yaml: cohorts: unknown key; did you mean cohort?
    """
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {yaml_fault(error)}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a mapping of settings")
    if adapted is not None:
        raw = adapted(raw)
    try:
        experiment = Experiment.model_validate(raw)
    except ValidationError as error:
        sentences = [
            f"{path}: {sentence}"
            for problem in error.errors()
            for sentence in _sentences(problem, raw)
        ]
        raise InputError(*dict.fromkeys(sentences)) from error
    # An experiment made of another one's settings need not use all of them.
    unused = () if adapted is not None else tuple(unused_settings(experiment, raw))
    if unused:
        raise InputError(*(f"{path}: {sentence}" for sentence in unused))
    return _absolute(experiment, path.resolve().parent)


_MESSAGES = {
    "model_type": "must be a mapping of settings",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "path_type": "must be a path",
    "too_short": "must not be empty",
}


def _sentences(problem: Any, raw: Mapping[str, Any]) -> list[str]:
    """A problem that pydantic found, in the words of who wrote the file."""
    where = ".".join(_location(problem["loc"], raw)) or "the experiment"
    found = problem["input"]
    if problem["type"] == "value_error":
        lines = problem["msg"].removeprefix("Value error, ").splitlines()
        return [f"{where}: {line}" for line in lines]
    if problem["type"] == "extra_forbidden":
        return [f"{where}: unknown key; {_known_keys(problem['loc'])}"]
    if problem["type"] == "missing":
        return [f"{where}: is missing"]
    if problem["type"] == "string_type" and isinstance(found, bool | int | float):
        # YAML reads a bare no, off or 0 as a value of its own.
        return [f"{where}: {found} is not text; write it in quotes"]
    if problem["loc"] == ("targets",) and not found:
        example = "`ER: {classes: [negative, positive], positive: positive}`"
        return [f"{where}: none is named; write one, such as {example}, or `histodistill init`"]
    message = _MESSAGES.get(problem["type"], problem["msg"].replace("Input should", "must"))
    shown = "" if isinstance(found, Mapping | list | tuple) else f", not {found!r}"
    return [f"{where}: {message}{shown}"]


def _known_keys(keys: Sequence[str | int]) -> str:
    """The keys that stand where an unknown one does, those of like spelling first."""
    model: type[BaseModel] = Experiment
    named = False  # whether the next key is a name that the user gave, whatever its spelling
    for key in keys[:-1]:
        if not named and key in model.model_fields:
            annotation = model.model_fields[str(key)].annotation
            model, named = _settings_in(annotation), _is_mapping(annotation)
        else:
            named = False
    return meant(str(keys[-1]), model.model_fields)


def _settings_in(annotation: Any) -> Any:
    """The settings class that an annotation holds: itself, or in a mapping or an option."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_settings_in, get_args(annotation))), None)


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(map(_is_mapping, get_args(annotation)))


def _location(keys: Sequence[str | int], raw: Mapping[str, Any]) -> list[str]:
    """Where a setting stands in the file: what all methods share is told once."""
    if keys[:1] == ("methods",) and keys[2:3] == ("training",):
        methods = raw["methods"]
        changes = methods.get(keys[1]) if isinstance(methods, Mapping) else None
        own = changes.get("training") if isinstance(changes, Mapping) else None
        if own is None or (len(keys) > 3 and isinstance(own, Mapping) and keys[3] not in own):
            keys = keys[2:]
    return [str(key) for key in keys]


def _absolute(experiment: Experiment, folder: Path) -> Experiment:
    """The experiment with every path made absolute."""

    def located(path: Path | None) -> Path | None:
        return None if path is None else (folder / path.expanduser()).resolve()

    cohort, features, splits = experiment.cohort, experiment.features, experiment.splits
    return experiment.model_copy(
        update={
            "cohort": cohort.model_copy(
                update={"clinical": located(cohort.clinical), "slides": located(cohort.slides)}
            ),
            "features": features
            and features.model_copy(
                update={
                    "directory": located(features.directory),
                    "cache": features.cache
                    if features.cache in ("auto", None)
                    else str(located(Path(features.cache))),
                }
            ),
            "genomics": {
                name: block.model_copy(update={"file": located(block.file)})
                for name, block in experiment.genomics.items()
            },
            "splits": splits.model_copy(
                update={"directory": splits.directory and str(located(Path(splits.directory)))}
            ),
            "output": located(experiment.output),
        }
    )
