"""TorchScript files: programs that run only if allowed, and never if they reach beyond tensors."""

import zipfile
from typing import Any

import pytest
import torch

from histodistill.encoders import describe_encoder, load_encoder
from histodistill.errors import InputError

SETTINGS: dict[str, Any] = {"input_px": 32, "mean": (0.5,) * 3, "std": (0.25,) * 3}


class Quarters(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


class Writes(torch.nn.Module):
    def __init__(self, path):
        super().__init__()
        self.path: str = path

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        torch.save(images, self.path)
        return images.flatten(2).mean(2)


class Reads(torch.nn.Module):
    def __init__(self, path):
        super().__init__()
        self.path: str = path

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        secret = torch.from_file(self.path, False, 1, dtype=torch.uint8)
        return images.flatten(2).mean(2) + secret


class Within(torch.nn.Module):
    """Its part writes a file, and only for some inputs."""

    def __init__(self, path):
        super().__init__()
        self.part = Writes(path)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.sum() > 0:
            images = self.part(images)[:, :, None, None]
        return images.flatten(2).mean(2)


class Aside(torch.nn.Module):
    """Writes a file in a branch that runs beside the network."""

    def __init__(self, path):
        super().__init__()
        self.part = Writes(path)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        beside = torch.jit.fork(self.part, images)
        done: torch.Tensor = torch.jit.wait(beside)
        return done


class OnLoading(torch.nn.Module):
    """Writes a file while it is loaded."""

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return torch.zeros(1), self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        torch.save(state[0], "written-on-loading")
        self.training = state[1]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(2).mean(2)


def load(path, *, allow_code=True):
    return load_encoder(
        describe_encoder("torchscript", **SETTINGS), weights=path, allow_code=allow_code
    )


def saved(module, path):
    torch.jit.script(module).save(path)
    return path


def test_an_allowed_file_encodes(tmp_path):
    encoder = load(saved(Quarters(), tmp_path / "own.pt"))
    patches = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    pixels = (patches.double().permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    expected = torch.nn.functional.adaptive_avg_pool2d(pixels, 2).flatten(1).float()
    assert encoder.width == 12
    assert torch.allclose(encoder.encode(patches), expected, atol=1e-5)


def test_a_file_with_weights_traced_or_frozen_encodes(tmp_path):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.GELU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    ).eval()
    traced = torch.jit.trace(network, torch.zeros(2, 3, 32, 32))
    traced.save(tmp_path / "traced.pt")
    torch.jit.freeze(traced).save(tmp_path / "frozen.pt")
    patches = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    expected = network((patches.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25)
    for name in ("traced.pt", "frozen.pt"):
        encoder = load(tmp_path / name)
        assert torch.allclose(encoder.encode(patches), expected, atol=1e-4)


def test_a_program_runs_only_if_the_user_says_so(tmp_path):
    path = saved(Quarters(), tmp_path / "own.pt")
    with pytest.raises(InputError, match=r"own\.pt is TorchScript, which is a program.*--allow-"):
        load(path, allow_code=False)


@pytest.mark.parametrize("kind", [Writes, Within, Aside])
def test_a_program_that_writes_is_refused_and_never_runs(tmp_path, kind):
    written = tmp_path / "written"
    path = saved(kind(str(written)), tmp_path / "own.pt")
    with pytest.raises(InputError, match=r"own\.pt calls aten::save.*was not run"):
        load(path)
    assert not written.exists()


def test_a_program_that_reads_a_file_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    path = saved(Reads(str(secret)), tmp_path / "own.pt")
    with pytest.raises(InputError, match=r"own\.pt calls aten::from_file"):
        load(path)


def test_a_call_under_another_name_is_refused(tmp_path):
    written = tmp_path / "written"
    saved(Writes(str(written)), tmp_path / "own.pt")
    with (
        zipfile.ZipFile(tmp_path / "own.pt") as archive,
        zipfile.ZipFile(tmp_path / "other.pt", "w") as changed,
    ):
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith(".py"):
                assert b"torch.save(" in content
                content = content.replace(b"torch.save(", b"t = torch\n    t.save(")
            changed.writestr(name, content)
    with pytest.raises(InputError, match=r"other\.pt calls aten::save"):
        load(tmp_path / "other.pt")
    assert not written.exists()


def test_a_program_that_runs_while_it_is_loaded_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved(OnLoading(), tmp_path / "own.pt")
    with pytest.raises(InputError, match=r"own\.pt runs code of its own while it is loaded"):
        load(path)
    assert not (tmp_path / "written-on-loading").exists()


def test_a_hook_that_writes_is_refused(tmp_path):
    def save(self: Quarters, images: tuple[torch.Tensor], features: torch.Tensor) -> torch.Tensor:
        torch.save(features, "written-by-hook")
        return features

    network = Quarters()
    network.register_forward_hook(save)
    path = saved(network, tmp_path / "own.pt")
    with pytest.raises(InputError, match=r"own\.pt calls aten::save"):
        load(path)


@pytest.mark.parametrize("content", [b"not a network", b""])
def test_no_archive_is_told(tmp_path, content):
    (tmp_path / "text.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"text.pt is not a TorchScript file"):
        load(tmp_path / "text.pt")


def test_weights_alone_are_no_network(tmp_path):
    torch.save(Quarters().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights.pt is not a TorchScript file"):
        load(tmp_path / "weights.pt")
