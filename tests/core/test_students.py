"""Few-step students: the levels that a run visits, LoRA files on the weights, and distillation that resumes."""

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler, TCDScheduler
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.utils import parametrize

from revpers_core.adapters.lora import Lora
from revpers_core.cli.main import main
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline as Pipeline
from revpers_core.hosts.diffusers_files import pocket_sdxl
from revpers_core.hosts.diffusers_lora import add_lora
from revpers_core.lab import data, distil, loop, steps
from revpers_core.lab.nets import shipped
from revpers_core.lab.world.shot import training_shot
from revpers_core.media import gallery
from revpers_core.method.identity import null_identity
from revpers_core.method.schedule import Spacing, sdxl_sigmas, sigmas, timesteps
from revpers_core.method.settings import PRESETS, resolve_preset
from revpers_core.method.students import STUDENTS, caution, known_within, steps_taken, trailing, visited
from revpers_core.method.types import Plan

SDXL = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize("steps", [4, 8, 12, 50])
def test_trailing_timesteps_are_diffusers(steps):
    scheduler = DDIMScheduler(**SDXL, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    assert list(trailing(steps)) == scheduler.timesteps.tolist()


@pytest.mark.parametrize(("kind", "scheduler_class"), [("lcm", LCMScheduler), ("tcd", TCDScheduler)])
@pytest.mark.parametrize("skip", [0.7, 0.5, 0.0])
def test_consistency_models_visit_what_their_schedulers_do(kind, scheduler_class, skip):
    scheduler = scheduler_class(**SDXL)
    for count in (2, 3, 4, 7, 8):
        scheduler.set_timesteps(count, strength=1 - skip)
        assert visited(kind, count, skip) == scheduler.timesteps.tolist()


def test_no_student_visits_anything_that_it_was_not_taught():
    for kind, student in STUDENTS.items():
        for skip in (0.0, 0.3, 0.5):
            for count in range(2, steps_taken(kind, 99, skip) + 1):
                run = visited(kind, count, skip)
                assert set(run) <= set(student.known) and len(run) == count and run[0] <= 999 - 1000 * skip
                assert all(a > b > 0 for a, b in pairwise(run)) and run[0] == known_within(kind, skip)[0]


@pytest.mark.parametrize("kind", STUDENTS)
def test_where_fewer_than_two_levels_are_known_a_skip_that_helps_is_named(kind):
    for skip in (0.7, 0.8, 0.95):
        try:
            known_within(kind, skip)
        except ValueError as error:
            (enough,) = re.findall(r"set skip to ([\d.]+) or less", str(error))
            assert len(known_within(kind, float(enough))) == 2
            with pytest.raises(ValueError, match="a run needs 2"):
                visited(kind, 2, float(enough) + 0.001)


def test_four_step_students_know_one_level_at_the_papers_skip():
    """What 'Few steps' of the field's numbers says: 299 and less, 4-step students were taught at 249 alone."""
    with pytest.raises(ValueError, match=r"lightning-4 knows 1 of the timesteps up to 299 .* set skip to 0\.5 or less"):
        resolve_preset("balanced", 9, 0.1, "lightning-4")
    assert visited("hyper-8", 2, 0.7) == [249, 124] and visited("hyper-12", 3, 0.7) == [249, 166, 82]
    assert visited("lightning-4", 2, 0.5) == [499, 249]


@pytest.mark.parametrize(
    ("preset", "kind", "steps"),
    [
        ("paper", "hyper-8", 2), ("balanced", "hyper-12", 3), ("balanced", "lcm", 8), ("instant", "lcm", 6),
        ("paper", "tcd", 15), ("custom", "lcm", 5), ("custom", "none", 5), ("paper", "none", 100),
    ],
)  # fmt: skip
def test_a_run_takes_as_many_steps_as_its_student_knows(preset, kind, steps):
    chosen = resolve_preset(preset, 5, 0.7, kind)
    assert (chosen.steps, chosen.evaluations, chosen.skip, chosen.student) == (steps, 4 * steps, 0.7, kind)


def test_without_a_student_nothing_changes():
    table = sdxl_sigmas()
    for preset in PRESETS.values():
        levels = sigmas(timesteps(preset.steps, preset.skip), table.__getitem__)
        assert Plan(preset.steps, preset.skip).levels(table.__getitem__) == levels
    assert visited("none", 10, 0.7, Spacing.LOG_SNR) == timesteps(10, 0.7, Spacing.LOG_SNR)


def test_impossible_students_are_refused():
    with pytest.raises(ValueError, match=r"student must be none or one of hyper-8, .* got 'turbo'"):
        Plan(4, student="turbo").levels(sdxl_sigmas().__getitem__)
    with pytest.raises(ValueError, match="steps must be from 2 to 3, got 4"):
        Plan(4, student="hyper-12").levels(sdxl_sigmas().__getitem__)
    with pytest.raises(ValueError, match="spacing"):
        Plan(4, student="lcm", spacing=Spacing.LOG_SNR)


def test_guidance_beyond_what_makers_advise_is_said():
    assert caution("none", -30) is None and caution("hyper-8", -6) is None
    assert "(-6 would be as far as their 8)" in str(caution("hyper-8", -6.5))
    assert "(0 would be as far as their 2)" in str(caution("lcm", -1))


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return Pipeline.from_pocket()


@pytest.mark.parametrize("kind", ["hyper-12", "lcm"])
def test_the_network_is_asked_at_the_students_timesteps_alone_and_nobody_comes_back(pipe, kind):
    asked: list[int] = []
    hook = pipe.sdxl.unet.register_forward_pre_hook(lambda module, given: asked.extend(given[1].tolist()))
    photo = gallery.aligned_face(3, 0)[None]
    plan = Plan(3, guidance=-5.0, student=kind, at_once=1)
    path = pipe.anonymize(photo, plan).trajectory
    hook.remove()
    assert asked == [t for _ in range(2) for t in visited(kind, 3, 0.7) for _ in range(2)]
    assert (pipe.sample(path, null_identity(1), plan) - pipe.decode(path.x0)).abs().max() < 1e-6


LAYERS = (
    "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", "mid_block.attentions.0.proj_in",
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0", "down_blocks.0.resnets.0.time_emb_proj",
    "up_blocks.0.attentions.1.transformer_blocks.0.ff.net.0.proj", "up_blocks.0.resnets.0.conv_shortcut",
    "down_blocks.0.downsamplers.0.conv", "up_blocks.1.upsamplers.0.conv", "up_blocks.2.resnets.1.conv1",
)  # fmt: skip
RANK, ALPHA = 4, 2.0


def factors(unet) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    draw, found = torch.Generator().manual_seed(1), {}
    for name in LAYERS:
        out, *rest = unet.get_submodule(name).weight.shape
        up = torch.randn(out, RANK, *(1 for _ in rest[1:]), generator=draw)
        found[name] = torch.randn(RANK, *rest, generator=draw), up
    return found


def kohya_file(unet) -> dict[str, torch.Tensor]:
    state = {}
    for name, (down, up) in factors(unet).items():
        layer = "lora_unet_" + name.replace(".", "_")
        state |= {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
        state[f"{layer}.alpha"] = torch.tensor(ALPHA)
    return state


def peft_file(unet) -> dict[str, torch.Tensor]:
    state = {}
    for name, (down, up) in factors(unet).items():
        state |= {f"unet.{name}.lora_A.weight": down * ALPHA / RANK, f"unet.{name}.lora_B.weight": up}
    return state


@pytest.mark.parametrize("form", [kohya_file, peft_file])
def test_a_lora_adds_up_times_down_to_its_layers_and_to_no_other(form, tmp_path):
    unet = pocket_sdxl().unet
    before, file = {name: value.clone() for name, value in unet.state_dict().items()}, tmp_path / "l.safetensors"
    save_file(form(unet), file)
    add_lora(unet, Lora(file, -0.5))
    after = unet.state_dict()
    for name, (down, up) in factors(unet).items():
        wanted = before[f"{name}.weight"] - 0.5 * ALPHA / RANK * torch.einsum("or...,ri...->oi...", up, down)
        assert (after[f"{name}.weight"] - wanted).abs().max() < 1e-5
    assert {name for name in after if not torch.equal(after[name], before[name])} == {f"{n}.weight" for n in LAYERS}


@torch.no_grad()
def test_what_distillation_learned_is_the_same_network_in_the_host(tmp_path):
    """Every layer under the names of SDXL's own layout, which diffusers names anew."""
    model = shipped()[0].eval()
    torch.manual_seed(0)
    additions = distil.low_rank(model.unet)
    for parameter in additions.parameters():
        parameter.copy_((0.05 * torch.randn(parameter.shape)).half())
    save_file(distil.kohya(additions.state_dict()), tmp_path / "l.safetensors")
    unet = pocket_sdxl().unet
    add_lora(unet, Lora(tmp_path / "l.safetensors"))
    for layer in list(model.unet.modules()):
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight")
    wanted = sorted(float(value.double().square().sum()) for value in model.unet.state_dict().values())
    merged = sorted(float(value.double().square().sum()) for value in unet.state_dict().values())
    assert len(additions) == 198 and torch.allclose(torch.tensor(merged), torch.tensor(wanted), rtol=1e-5)


def test_other_files_are_refused_in_words_and_change_nothing(tmp_path):
    unet, file = pocket_sdxl().unet, tmp_path / "l.safetensors"
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    good = kohya_file(unet)
    wide = {key: torch.zeros(RANK, 999) if key.endswith("proj_in.lora_down.weight") else v for key, v in good.items()}
    some = dict(list(good.items())[:3])
    for state, words in (
        (wide, "another model: its layer mid_block.attentions.0.proj_in does not fit"),
        ({"lora_te1_text_model_x.lora_down.weight": torch.zeros(1, 1), **good}, "changes the text encoders too"),
        ({"model.diffusion_model.out.2.weight": torch.zeros(1)}, "is no "),
        ({**some, "lora_unet_mid_block_x.hada_w1_a": torch.zeros(1)}, "is no LoRA that diffusers knows.*hada_w1_a"),
        ({"unet.mid_block.attentions.0.proj_in.lora_A.weight": torch.zeros(1, 128)}, "half of a layer"),
        ({"lora_unet_a.alpha": torch.tensor(1.0)}, "lora_unet_a.alpha alone"),
    ):
        save_file({key: value.contiguous() for key, value in state.items()}, file)
        with pytest.raises(ValueError, match=f"(?s)l.safetensors.*{words}"):
            add_lora(unet, Lora(file))
    for path in (tmp_path / "none.safetensors", Path(__file__)):
        with pytest.raises(ValueError, match="cannot be read as safetensors"):
            add_lora(unet, Lora(path))
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())


def test_a_lora_is_named_with_its_strength():
    assert Lora.parse("a.safetensors") == (Path("a.safetensors"), 1.0)
    assert Lora.parse("a:b.safetensors:0.7") == (Path("a:b.safetensors"), 0.7)
    assert Lora.parse("C:\\a.safetensors") == (Path("C:\\a.safetensors"), 1.0)
    assert str(Lora.parse("folder/a.safetensors:-1")) == "a.safetensors:-1"


def test_the_command_takes_a_student_and_its_lora(random_pocket, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    images = {"plain": [], "student": ["--student", "hyper-12"]}
    save_file(kohya_file(pocket_sdxl().unet), "l.safetensors")
    images["lora"] = ["--student", "hyper-12", "--lora", "l.safetensors:0.2"]
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)).save("me.png")
    records = {}
    for name, more in images.items():
        call = ["anonymize", "me.png", "-o", name, "--json", "--crops", "--seed", "1", "--guidance", "-10", *more]
        assert main([*call, "--steps", "3"]) == 0
        out, err = capsys.readouterr()
        records[name] = json.loads(out)
        assert ("further from 1 than the makers of the student hyper-12 go" in err) is (name != "plain")
    assert all(record["unet_evaluations"] == 12 for record in records.values())
    assert not {"student", "lora"} & records["plain"]["settings"].keys()
    assert records["lora"]["settings"]["student"] == "hyper-12"
    assert records["lora"]["settings"]["lora"] == ["l.safetensors:0.2"]
    pictures = [(tmp_path / name / "me_anonymous.png").read_bytes() for name in images]
    assert len(set(pictures)) == 3


@pytest.mark.parametrize("verb", ["anonymize", "dataset", "video"])
def test_the_command_refuses_a_student_that_knows_too_little_before_it_reads_anything(verb, capsys):
    call = [verb, "nothing.png", "-o", "out", "--student", "lightning-4", "--preset", "fast"]
    assert main(call) != 0
    assert "lightning-4 knows 1 of the timesteps" in capsys.readouterr().err


def photographs(folder: Path) -> data.Photos:
    """Two people of the gallery as if they had been rendered for training."""
    folder.mkdir()
    seeds = [training_shot(person, number) for person in range(2) for number in range(4)]
    pictures = [gallery.aligned_face(k // 4, k % 4).permute(1, 2, 0) for k in range(8)]
    np.savez(
        folder / "people-00000.npz",
        images=np.stack([(255 * picture).round().byte().numpy() for picture in pictures]),
        points=np.zeros((8, 5, 2), np.float32),
        person=np.array([person for person, _ in seeds]),
        shot=np.array([shot for _, shot in seeds]),
    )
    return data.Photos(folder)


def test_a_student_is_distilled_and_goes_on_to_the_same_numbers(tmp_path):
    photos = photographs(tmp_path / "people")

    def taught(folder: Path, *steps: int) -> dict[str, torch.Tensor]:
        for count in steps:
            assert distil.distil(folder, photos, folder / "l.safetensors", steps=count, people=2) == count
        return loop.averaged(folder, distil.STAGE)["additions"]

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    distil.lessons(tmp_path / "a", photos, 2)
    shutil.copy(tmp_path / "a/lessons-2.pt", tmp_path / "b/lessons-2.pt")
    whole, parts = taught(tmp_path / "a", 2), taught(tmp_path / "b", 1, 2)
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    ups = [value for name, value in whole.items() if name.endswith("up")]
    assert len(ups) == 198 and all(value.isfinite().all() and value.any() for value in ups)
    assert load_file(tmp_path / "a/l.safetensors").keys() == distil.kohya(whole).keys()


@torch.no_grad()
def test_the_lesson_is_where_the_ordinary_models_path_ends(tmp_path, monkeypatch):
    """A model whose noise is the same wherever it looks has straight paths: it is its own student, loss 0. One that
    sees more of it at higher levels is not."""
    task = distil.student(distil.lessons(tmp_path, photographs(tmp_path / "people"), 2), torch.device("cpu"))

    def loss(noise) -> float:
        monkeypatch.setattr("revpers_core.lab.nets.Denoiser.forward", noise)
        return float(task.loss(torch.Generator().manual_seed(0), 0.0)["consistency"])

    assert loss(lambda self, x, t, text, identity: torch.full_like(x, 0.3)) < 1e-12
    assert loss(lambda self, x, t, text, identity: t.view(-1, 1, 1, 1) / 1000 * torch.ones_like(x)) > 1e-5


def test_the_study_runs_a_student_by_its_own_network_beside_the_ordinary_model(monkeypatch):
    ordinary, pupil = steps.Network(None, lambda: 0), steps.Network(None, lambda: 1)
    runs: list[tuple[steps.Network, Plan]] = []

    def run_plan(photos: torch.Tensor, network: steps.Network, plan: Plan) -> steps.PlanResult:
        runs.append((network, plan))
        return steps.PlanResult(photos + plan.seed, 4 * plan.steps)

    monkeypatch.setattr(steps, "run_plan", run_plan)
    monkeypatch.setattr(steps, "measured", lambda people, images, judge: {})
    monkeypatch.setattr(steps, "factor_correlation", lambda people, images: None)
    people, plan = SimpleNamespace(photos=torch.zeros(3, 3, 8, 8)), Plan(30, guidance=-6.0)
    rows = list(steps.table(people, ordinary, {"judge": None}, plan, steps.Pupil(pupil, "lcm")))
    assert [row["evaluations"] for row in rows] == [8] * 3 + [16] * 3 + [24] * 3 + [120]
    assert [row["way"] for row in rows[:3]] == ["few-step student", "student's levels", "both branches"]
    assert {plan.student for network, plan in runs if network is pupil} == {"lcm"}
    assert [plan.steps for network, plan in runs if network is pupil] == [2, 4, 6]
    assert [plan.student for network, plan in runs if network is ordinary and plan.steps == 4] == ["lcm", "none"]
    assert not any(plan.student != "none" for way, plan, _ in steps.ways(plan))


@pytest.mark.parametrize("more", [["--lora", "l.safetensors"], ["--student", "lcm"]])
def test_a_study_needs_to_know_which_levels_a_lora_was_taught(more, capsys):
    assert main(["steps", "--people", "1", *more]) != 0
    assert "belong together" in capsys.readouterr().err
