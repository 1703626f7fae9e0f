"""Every line that only a GPU reaches is on a list, with the test that runs it on a stand-in."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import histodistill

ROOT = Path(histodistill.__file__).parent
TRAINING, EXTRACTION = "tests.gpu.test_training", "tests.gpu.test_extraction"
ELSEWHERE = "tests.gpu.test_elsewhere"
_ASKED = (TRAINING, "test_what_a_gpu_is_asked_and_given")
_TRAINED = (TRAINING, "test_training_is_that_of_the_cpu")
_EXTRACTED = (EXTRACTION, "test_features_are_near_those_of_the_cpu")
# Functions that ask what kind of device they have, or CUDA itself, and a test that goes there.
COVERED = {
    "computing/device.py:resolve_device": _ASKED,
    "computing/precision.py:fast_precision": _ASKED,
    "diagnosis/acceleration.py:_gpu": _ASKED,
    "diagnosis/acceleration.py:acceleration": _ASKED,
    "encoders/loading.py:resolve_precision": _EXTRACTED,
    "encoders/loading.py:_tell_slow": (
        EXTRACTION,
        "test_a_precision_that_the_processor_is_slow_in_is_no_matter_on_a_gpu",
    ),
    "encoders/onnx.py:__init__": (
        EXTRACTION,
        "test_an_onnx_file_runs_on_the_gpu_where_its_runtime_can",
    ),
    "extraction/elsewhere.py:extract_elsewhere": (ELSEWHERE, "test_slides_reserve_one"),
    "extraction/patch_stream.py:stream_batches": _EXTRACTED,
    "extraction/patch_stream.py:begin": _EXTRACTED,
    "extraction/run.py:extract_slides": _EXTRACTED,
    "extraction/run.py:_raise_if_not_the_slides": (
        EXTRACTION,
        "test_patches_that_a_gpu_does_not_hold_are_told",
    ),
    "extraction/slide_extraction.py:extract_slide": _EXTRACTED,
    "features/bags.py:to": (TRAINING, "test_bags_move_to_the_gpu_and_are_the_same"),
    "model/pooling/blocks.py:block_rows": _ASKED,
    "model/pooling/kernels.py:steps_for": _ASKED,
    "model/pooling/random_bits.py:random_bits": (TRAINING, "test_dropout_draws_on_the_device"),
    "model/pooling/steps.py:widen": _TRAINED,
    "preparation/squash.py:_compilable": (TRAINING, "test_patches_are_squashed_on_the_device"),
    "preparation/squash.py:in_parts": (
        TRAINING,
        "test_patches_are_read_in_larger_parts_than_on_the_cpu",
    ),
    "training/loop/clock.py:clock_of": _TRAINED,
    "training/loop/shared_pass.py:pays": _TRAINED,
    "training/run/final_elsewhere.py:train_elsewhere": (
        ELSEWHERE,
        "test_a_final_model_reserves_one",
    ),
    "training/run/parallel.py:engine_of": (ELSEWHERE, "test_trainings_reserve_one"),
    "training/run/precision.py:require_fast_precision": _TRAINED,
    "training/run/run_folder.py:versions": _ASKED,
    "workflows/prediction.py:_predicted": (ELSEWHERE, "test_predictions_reserve_one"),
}


def test_each_is_covered_and_nothing_else_is_listed() -> None:
    assert dict.fromkeys(found()).keys() == COVERED.keys()


def test_the_tests_exist() -> None:
    for module, name in COVERED.values():
        assert callable(getattr(importlib.import_module(module), name)), name


def found() -> Iterator[str]:
    """Functions that ask which kind of device they have, by file and name."""
    for path in sorted(ROOT.rglob("*.py")):
        for function in functions(ast.parse(path.read_text(encoding="utf-8"))):
            if any(asks(node) for node in ast.walk(function)):
                yield f"{path.relative_to(ROOT)}:{function.name}"


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def asks(node: ast.AST) -> bool:
    """Whether an expression names CUDA, the type of a device, or what only a GPU raises."""
    match node:
        case ast.Attribute(attr="cuda" | "is_cpu" | "is_cuda" | "OutOfMemoryError"):
            return ast.unparse(node) != "self.cuda"  # what PyTorch was built for
        case ast.Compare(left=ast.Attribute(attr="type")):
            return any(isinstance(c, ast.Constant) and c.value != "meta" for c in node.comparators)
        case ast.Call(func=ast.Attribute(attr="startswith"), args=[ast.Constant(value="cuda")]):
            return True
        case ast.keyword(arg="pin_memory"):
            return True
    return False
