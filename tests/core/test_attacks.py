"""The attacks and baselines: each on a case where the answer is known. Figures of the pocket model are in docs/."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from revpers_core.cli.main import main
from revpers_core.faces import masks
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
from revpers_core.lab import attacks, baselines, inversion_attack, people
from revpers_core.lab.attacks import Outputs, chunks, confirmed, searches, telling_files
from revpers_core.lab.inversion_attack import reconstruct
from revpers_core.lab.people import anonymize_people, embedded, invert_latents, matching, seeded
from revpers_core.lab.rendered import GalleryPeople
from revpers_core.media import images
from revpers_core.method.guidance import network_guidance, recorded_guidance
from revpers_core.method.schedule import sdxl_sigmas
from revpers_core.method.trajectory import sample
from revpers_core.method.types import Plan

PLAN = Plan(steps=4, skip=0.5, guidance=-6.0)


@pytest.fixture(scope="module")
def ports() -> ReversePersonalizationPipeline:
    return ReversePersonalizationPipeline.from_pocket()


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    return GalleryPeople(3).photo(0)


def test_matching_finds_owners_and_chance() -> None:
    perfect = matching(torch.eye(12))
    assert (perfect.auc.value, perfect.rank1.value, perfect.people) == (1, 1, 12)
    worst = matching(-torch.eye(12))
    assert (worst.auc.value, worst.rank1.value, worst.rank5.value) == (0, 0, 0)
    noise = matching(torch.rand(100, 100, generator=torch.Generator().manual_seed(0)))
    assert noise.auc.low < 0.5 < noise.auc.high and noise.rank1.value < 0.1
    assert matching(torch.zeros(4, 4)).rank1.value == 1, "ties count against privacy"


def test_a_crowd_is_the_same_people_in_other_scenes() -> None:
    crowd = GalleryPeople(3)
    assert torch.equal(crowd.photo(0), GalleryPeople(3).photo(0))
    assert (crowd.photo(0) - crowd.photo(1)).abs().mean() > 0.02
    assert torch.equal(GalleryPeople(5).attributes[:3], crowd.attributes)


def test_outputs_are_those_of_a_call_a_picture(ports, photos) -> None:
    """Whatever the batch: each picture gets the noise that a call of its own gives it."""
    together = anonymize_people(ports, photos, seeded(PLAN, 5))
    alone = ports.anonymize(photos[2:3], seeded(PLAN, 5)).image
    assert (together[2:3] - alone).abs().max() < 1e-3
    assert (anonymize_people(ports, photos, seeded(PLAN, 6)) - together).abs().max() > 0.05


def test_who_has_photo_settings_and_seed_confirms_a_guess(ports) -> None:
    outputs = Outputs(GalleryPeople(3), ports, PLAN)
    assert confirmed(outputs).value == 1
    outputs.cache[0, 1] = outputs.of(0, 1).roll(1, 0)
    assert confirmed(outputs).value == 0


class Told:
    """People whose pictures say who they are: a judge sees a direction each, and some noise."""

    photos_each, points = 4, staticmethod(lambda number: None)

    def __init__(self, people: range):
        self.people, self.count = people, len(people)

    def photo(self, number: int) -> torch.Tensor:
        draw = torch.Generator().manual_seed(number)
        return torch.eye(200)[list(self.people)] + 0.02 * torch.randn(self.count, 200, generator=draw)

    def strangers(self, count: int) -> "Told":
        return Told(range(self.people.stop, min(self.people.stop + count, 200)))


def test_a_search_finds_photos_and_no_strangers(monkeypatch) -> None:
    monkeypatch.setattr(attacks, "judged", lambda judge, images, points: torch.nn.functional.normalize(images, dim=1))
    photos, strangers = searches(Told(range(12)), Told(range(150, 162)).photo(0), None)
    assert photos.tar.value > 0.9 and photos.fnir.value < 0.1 and photos.strangers == 100
    assert strangers.tar.value < 0.2 and strangers.fnir.value > 0.8


def test_files_that_tell_are_caught(photos, monkeypatch) -> None:
    assert telling_files(photos).value == 0
    write = images.write_png
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add_text("seed", "1")
    monkeypatch.setattr(images, "write_png", lambda picture, path: write(picture, path, note))
    assert telling_files(photos).value == 1


def test_chunks_are_named(tmp_path) -> None:
    images.write_png(images.to_pil(torch.zeros(3, 8, 8)), tmp_path / "a.png")
    assert chunks((tmp_path / "a.png").read_bytes()) == ["IHDR", "IDAT", "IEND"]


class Toy:
    """A host whose latents are its pixels and whose network is a formula: who it is bends it, noise decides where."""

    levels = sdxl_sigmas()

    def encode(self, image):
        return image.double()

    def decode(self, latents):
        return latents

    def sigma(self, timestep):
        return self.levels[timestep]

    def branches(self, identity, latents, prompt=""):
        length = identity.embedding.norm(dim=1)[:, None, None, None]
        return lambda x, sigma, need=None: (0.8 * x.tanh(), 0.8 * x.tanh() + 0.05 * length * (3 * x).sin())


def test_running_backwards_needs_the_right_seed() -> None:
    """Where the process is invertible, its output and its seed give the photo back; another seed does not."""
    toy, plan = Toy(), Plan(steps=4, skip=0.5, guidance=-2.0, seed=1)
    steering = SimpleNamespace(features=lambda faces: torch.ones(len(faces), 512))
    photo = torch.rand(2, 4, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    predict = network_guidance(toy.branches(embedded(steering, photo), photo), plan.guidance)
    result = sample(predict, invert_latents(toy, photo, plan), recorded_guidance(plan.guidance))

    def miss(guess: torch.Tensor) -> float:
        return float((guess - photo).abs().mean())

    right, wrong = (miss(reconstruct(toy, result, seeded(plan, seed), steering)) for seed in (1, 99))
    assert miss(result) > 0.02
    assert right < 0.2 * miss(result) and right < 0.2 * wrong


FACE = (slice(None), slice(None), slice(40, 90), slice(40, 90))
CORNER = (slice(None), slice(None), slice(0, 16), slice(0, 16))


@pytest.mark.parametrize("name", list(baselines.METHODS))
def test_baselines_change_the_face_and_spare_the_rest(name, ports, photos) -> None:
    result = baselines.METHODS[name](photos, ports, PLAN)
    vae = baselines.autoencoder(photos, ports, PLAN)
    assert result.shape == photos.shape and result.min() >= 0 and result.max() <= 1
    spared = photos if name in ("photo", "blur", "pixelation") else vae
    moved = (result - spared).abs()
    if name in ("photo", "VAE alone"):
        assert moved.max() == 0
        return
    assert moved[FACE].mean() > 0.02
    assert moved[CORNER].mean() < (1e-6 if name in ("blur", "pixelation") else 0.6 * moved[FACE].mean())


def test_ddim_without_guidance_gives_the_photo_back(ports, photos) -> None:
    """Up and down one deterministic path, better with more steps (first order)."""
    nobody = SimpleNamespace(
        encode=ports.encode, decode=ports.decode, sigma=ports.sigma, branches=ports.branches,
        embed=lambda x: baselines.null_identity(len(x)),
    )  # fmt: skip
    vae = baselines.autoencoder(photos, ports, PLAN)

    def miss(steps: int) -> float:
        return float((baselines.ddim(photos, nobody, Plan(steps, 0.5, 0.0)) - vae).abs().mean())

    coarse, fine = miss(4), miss(16)
    assert fine < 0.5 * coarse and fine < 0.03


def test_masks_keep_eyes_and_mouth() -> None:
    face, kept = masks.whole_face(128), masks.without_parts(128)
    assert face[0, 64, 64] == 1 and face[0, 2, 2] == 0
    assert (kept <= face).all() and (kept < face).any() and kept[0, 80, 64] == 1


@pytest.mark.parametrize("name", ["attacks", "baselines"])
def test_the_tables_are_written(name, tmp_path, capsys, monkeypatch) -> None:
    for constant in ("AVERAGED", "UNDONE", "WRITTEN"):
        monkeypatch.setattr(attacks, constant, 2)
    monkeypatch.setattr(inversion_attack, "ROUNDS", 1)
    monkeypatch.setattr(people, "DRAWS", 20)
    code = main([name, "--people", "4", "--steps", "2", "-o", str(tmp_path)])
    assert code == 0 and capsys.readouterr().err == ""
    report = json.loads((tmp_path / f"{name}.json").read_text())
    assert report["command"].startswith(f"revpers {name} --world gallery --people 4 --steps 2")
    text = (tmp_path / f"{name}.md").read_text()
    assert f"`{report['command']}`" in text
    for row in report["rows"]:
        said = row.get("attack") or row.get("method") or row.get("name") or row.get("probes")
        assert f"| {said} |" in text


@pytest.mark.parametrize("name", ["attacks", "baselines"])
def test_the_shipped_tables_are_the_commands(name) -> None:
    """Every row of the JSON is in the Markdown beside it, and both name the command that made them."""
    docs = Path(__file__).parents[2] / "docs"
    report, text = json.loads((docs / f"{name}.json").read_text()), (docs / f"{name}.md").read_text()
    assert report["command"].startswith(f"revpers {name} ") and f"`{report['command']}`" in text
    assert len(report["rows"]) >= 8
    for row in report["rows"]:
        assert f"| {row.get('attack') or row.get('method') or row.get('name') or row.get('probes')} |" in text
