"""The command, run whole on a pocket model with random weights: files in, files and records out, or a plain refusal."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gallery_faces import pasted
from PIL import Image, PngImagePlugin

from revpers_core import pocket
from revpers_core.cli import anonymize, options
from revpers_core.cli.main import main
from revpers_core.faces import detect, insightface, registry
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
from revpers_core.media import gallery, images

FAST = ["--steps", "3", "--skip", "0.5", "--guidance", "-10"]


@pytest.fixture(autouse=True)
def here(random_pocket, offline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        monkeypatch.setenv(name, "1")  # the command sets them: put them back


def face(path, size=(96, 96), seed=0, **rest):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **rest)
    return pixels


def run(capsys, *arguments):
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_picture_becomes_a_picture_and_a_record(capsys, tmp_path):
    note = PngImagePlugin.PngInfo()
    note.add_text("Author", "somebody")
    face("me.png", pnginfo=note, dpi=(300, 300))
    before = (tmp_path / "me.png").read_bytes()
    code, out, err = run(capsys, "anonymize", "me.png", "-o", "out", "--json", "--age", "old", "--seed", 5, *FAST)
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert list(record) == [
        "image", "output", "unet_evaluations", "seconds", "guidance", "similarity_null", "similarity_after", "verdict",
        "settings",
    ]  # fmt: skip
    assert (record["image"], record["output"]) == ("me.png", "out/me_anonymous.png")
    assert record["unet_evaluations"] == 4 * 3 and record["verdict"] == "unverified"
    wanted = {
        "model": "pocket",
        "steps": 3,
        "skip": 0.5,
        "guidance": -10.0,
        "dtype": "float32",
        "age": "old",
        "seed": 5,
        "instead": "a stranger by seed",
        "length": 1.0,
    }
    assert record["settings"] == wanted
    assert -1 <= record["similarity_after"] <= 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["me_anonymous.png"]
    data = (tmp_path / "out/me_anonymous.png").read_bytes()
    assert chunks(data) == ["IHDR", "IDAT", "IEND"]
    with Image.open("out/me_anonymous.png") as picture:
        assert (picture.size, picture.mode) == ((128, 128), "RGB")
    assert (tmp_path / "me.png").read_bytes() == before


def chunks(data: bytes) -> list[str]:
    found, at = [], 8
    while at < len(data):
        name = data[at + 4 : at + 8].decode()
        found += [name] if [name] != found[-1:] else []
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return found


def test_the_record_is_true(capsys):
    """The numbers and the pixels are those of the library for the same settings, and DEMO is burned in."""
    face("me.png")
    nobody = ("--instead", "nobody")
    _, out, _ = run(capsys, "anonymize", "me.png", "-o", "out", "--json", "--seed", 5, *nobody, *FAST)
    record = json.loads(out)
    from revpers_core.method.identity import cosine
    from revpers_core.method.types import Plan

    pipeline = ReversePersonalizationPipeline.from_pocket()
    image = images.resized(images.read("me.png"), 128)[None]
    result = pipeline.anonymize(image, Plan(3, 0.5, -10.0, 5))
    source = pipeline.embed(image)
    null = pipeline.decode(pipeline.encode(image))
    for name, seen in (("similarity_after", result.image), ("similarity_null", null)):
        assert record[name] == pytest.approx(float(cosine(source, pipeline.embed(seen))), abs=1e-4)
    plain, shown = images.to_pil(result.image[0]), images.read("out/me_anonymous.png")
    assert torch.equal(shown, images.from_pil(images.watermarked(plain)))
    changed = (shown - images.from_pil(plain)).abs().amax(0) > 0.05
    assert changed.float().mean() > 0.04 and not changed[:64].any()


def test_a_target_samples_again_along_one_inversion(capsys, tmp_path, monkeypatch):
    """Known, beyond, right: 2 N evaluations of the inversion and 2 N a try; and no file where nothing is right."""
    face("me.png")
    likenesses = iter([0.9, -0.9, 0.0, 0.9, 0.9, 0.9, 0.9, 0.9])
    rule = SimpleNamespace(threshold=0.5, floor=-0.5, vouches=True, measured=True)
    judge = SimpleNamespace(
        name="j", rule=rule, embed=lambda image, face: torch.zeros(1), similarity=lambda a, b: next(likenesses, 0.9)
    )
    monkeypatch.setattr(registry, "load_judge", lambda path: judge)
    call = ["anonymize", "me.png", "-o", "out", "--json", "--judge", "pocket", "--target", *FAST, "--guidance", "-2"]
    code, out, _ = run(capsys, *call)
    record = json.loads(out)
    assert (code, record["guidance"], record["verdict"]) == (0, -2.5, "not re-identified by 1 of 1 judges")
    assert record["unet_evaluations"] == 2 * 3 * (1 + 4) and record["settings"]["target"] == 0.2
    (tmp_path / "out/me_anonymous.png").unlink()
    code, out, err = run(capsys, *call)
    assert (code, out) == (1, "") and "no guidance was found" in err and not list((tmp_path / "out").iterdir())
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "out", "--target", *FAST)
    assert code == 1 and "needs a judge" in err


def test_seeds_decide_and_stay_untold(capsys):
    face("me.png")
    results = []
    for seed in (["--seed", 1], ["--seed", 1], ["--seed", 2], [], []):
        _, out, _ = run(capsys, "anonymize", "me.png", "-o", "out", "--json", *seed, *FAST)
        assert ("seed" in json.loads(out)["settings"]) == bool(seed)
        results.append(images.read("out/me_anonymous.png"))
    same = [[torch.equal(a, b) for b in results] for a in results]
    assert same[0] == [True, True, False, False, False] and not same[3][4]


def test_bad_pictures_are_refused_and_the_others_still_run(capsys, tmp_path):
    face("wide.jpg", (120, 96))
    face("good.png")
    Image.new("RGB", (96, 96), "grey").save("wall.png")
    (tmp_path / "page.jpg").write_text("<html>not a picture</html>")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((96, 96), np.float32)).save("float.tiff")
    names = ["wide.jpg", "wall.png", "good.png", "page.jpg", "half.png", "float.tiff", "gone.png"]
    code, out, err = run(capsys, "anonymize", *names, "-o", "out", "--json", *FAST)
    assert code == 1
    assert [json.loads(line)["image"] for line in out.splitlines()] == ["good.png"]
    said = dict(line.removeprefix("revpers: ").split(": ", 1) for line in err.splitlines())
    assert list(said) == [name for name in names if name != "good.png"]
    assert "120 x 96" in said["wide.jpg"] and "crop it to a square" in said["wide.jpg"]
    assert "no face" in said["wall.png"] and "no such file" in said["gone.png"]
    assert "not a picture" in said["page.jpg"] and "cannot be read" in said["half.png"]
    assert "not supported" in said["float.tiff"] and "Traceback" not in err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good_anonymous.png"]


def test_a_result_that_is_not_finite_leaves_no_file(capsys, tmp_path, monkeypatch):
    face("me.png")
    decode = ReversePersonalizationPipeline.decode
    monkeypatch.setattr(ReversePersonalizationPipeline, "decode", lambda self, x: decode(self, x) * float("nan"))
    code, out, err = run(capsys, "anonymize", "me.png", "-o", "out", *FAST)
    assert (code, out) == (1, "") and "NaN" in err and err.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "out", "--guidance", "nan", "--steps", "3")
    assert code == 1 and "guidance must be from -30 to 30, got nan" in err


def test_no_input_and_no_output_of_the_same_call_is_overwritten(capsys, tmp_path):
    (tmp_path / "a").mkdir()
    face("x.png", seed=1)
    face("a/x.png", seed=2)
    code, out, err = run(capsys, "anonymize", "x.png", "a/x.png", "-o", "out", "--json", *FAST)
    assert code == 1 and len(out.splitlines()) == 1 and "overwrite" in err
    pixels = face("x_anonymous.png", seed=3)
    code, out, err = run(capsys, "anonymize", "x.png", "x_anonymous.png", "-o", ".", "--json", *FAST)
    assert code == 1 and "overwrite" in err
    assert np.array_equal(np.asarray(Image.open("x_anonymous.png")), pixels)


def test_models_are_whole_or_refused(capsys, tmp_path):
    face("me.png")
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "out", "--model", "x.safetensors", *FAST)
    assert code == 1 and "belong together" in err
    some = ["--adapter", pocket.ADAPTER, "--face-model", pocket.FACE_MODEL]
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "out", "--model", "gone.safetensors", *some, *FAST)
    assert code == 1 and "no file gone.safetensors" in err and err.count("\n") == 1
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "out", "--device", "cuda:99", *FAST)
    assert code == 1 and "cuda:99" in err and err.count("\n") == 1
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "me.png", *FAST)
    assert code == 1 and "me.png is a file" in err
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "out", "--steps", "400")
    assert code == 1 and "fewer steps" in err
    assert not (tmp_path / "out").exists()


def test_a_result_of_an_earlier_call_does_not_stand_for_one_that_failed(capsys, tmp_path, detections):
    detections += photo("one.png", [(40, 20)])
    call = ["anonymize", "one.png", "-o", "out", "--detector", "any.onnx", *FAST]
    assert run(capsys, *call)[0] == 0 and (tmp_path / "out/one_anonymous.png").exists()
    detections.clear()
    code, _, err = run(capsys, *call)
    assert code == 1 and "no face was found" in err and not list((tmp_path / "out").iterdir())


def test_real_weights_need_a_detector_or_a_word(capsys, tmp_path, monkeypatch):
    """A square photo of several people would pass for an aligned crop of one of them, and the others would stay."""
    face("me.png")
    monkeypatch.setattr(registry, "centerface", lambda: None)
    files = ["--model", pocket.CHECKPOINT, "--adapter", pocket.ADAPTER, "--face-model", pocket.FACE_MODEL]
    monkeypatch.setattr(options, "pipeline", lambda *files, **kind: ReversePersonalizationPipeline.from_pocket())
    code, out, err = run(capsys, "anonymize", "me.png", "-o", "out", *files, *FAST)
    assert (code, out) == (1, "") and "--crops" in err and not (tmp_path / "out").exists()
    assert run(capsys, "anonymize", "me.png", "-o", "out", "--crops", *files, *FAST)[0] == 0
    asked = []
    monkeypatch.setattr(registry, "centerface", lambda: tmp_path / "centerface.onnx")
    monkeypatch.setattr(detect, "load", lambda *a: asked.append(a) or (lambda image: []))
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "out", *files, *FAST)
    assert code == 1 and "no face was found" in err and asked == [(tmp_path / "centerface.onnx", "auto")]


def test_people_read_sentences(capsys):
    face("me.png")
    code, out, err = run(capsys, "anonymize", "me.png", "-o", "out", *FAST)
    assert (code, err) == (0, "") and out.startswith("me.png -> out/me_anonymous.png") and "unverified" in out


def test_demo_on_a_photo(capsys):
    face("photo.jpg", (200, 150))
    code, out, err = run(capsys, "demo", "--image", "photo.jpg", "-o", "shown", "--seed", "1", *FAST)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[-1] == "picture: shown/demo.png"
    (drift,) = [float(line.split()[2]) for line in lines if line.startswith("null replay:")]
    assert drift < 1e-5
    sheet = images.read("shown/demo.png")
    left, middle, right, asked = (sheet[:, 40:296, 12 + i * 268 : 268 * (i + 1)] for i in range(4))
    source = images.resized(images.centre_square(images.read("photo.jpg")), 128)
    assert (images.resized(left, 128) - source).abs().mean() < 0.1
    assert min((middle - right).abs().mean(), (asked - right).abs().mean()) > 1e-3


def test_demo_on_a_rendered_face_has_no_mark(capsys, monkeypatch):
    monkeypatch.setattr(images, "watermarked", lambda *_: pytest.fail("a rendered face needs no mark"))
    code, out, err = run(capsys, "demo", "-o", "shown", *FAST)
    assert (code, err) == (0, "")
    assert "another photo of the person" in out


@pytest.mark.parametrize("arguments", [[], ["anonymize"], ["anonymize", "x.png"], ["demo", "--steps", "few"]])
def test_wrong_usage_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


def test_a_process_of_its_own_prints_records_only(tmp_path):
    """No library's remark reaches stdout, and a refusal has no traceback."""
    import subprocess

    (tmp_path / "page.jpg").write_text("no picture")
    command = [sys.executable, "-m", "revpers_core.cli", "anonymize", "page.jpg", "-o", "out", "--json", "--steps", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "revpers: steps must be 2 or more, got 1\n"


def photo(name, faces):
    """A grey picture with rendered faces at places (x, y), and where their points are."""
    canvas, found = torch.full((3, 200, 320), 0.5), []
    for k, (x, y) in enumerate(faces):
        found.append(pasted(canvas, k, (x, y)))
    images.to_pil(canvas).save(name)
    return found


@pytest.fixture
def detections(monkeypatch):
    """Detection is tested elsewhere: here the faces are told, and none is seen in the result but them."""
    faces = []
    monkeypatch.setattr(detect, "load", lambda path, provider: lambda image: list(faces))
    monkeypatch.setattr(detect, "find_faces", lambda image, detectors, search: detectors[0](image))
    return faces


def test_everyone_in_a_photo_is_changed_and_the_rest_is_not(capsys, detections):
    detections += photo("two.png", [(10, 20), (180, 40)])
    code, out, err = run(capsys, "anonymize", "two.png", "-o", "out", "--json", "--detector", "any.onnx", *FAST)
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["verdict"] == "unverified" and len(record["faces"]) == 2
    assert record["unet_evaluations"] == 2 * 2 * 2 * 3
    changed = (images.read("out/two_anonymous.png") - images.read("two.png")).abs().amax(0)
    assert changed[:15].max() == 0 and changed[:140, 140:175].max() == 0
    for face in detections:
        x, y = face.points[2].int().tolist()
        assert changed[y - 10 : y + 10, x - 10 : x + 10].max() > 0.05


def test_faces_are_listed_as_numbers(capsys, detections):
    detections += photo("one.png", [(40, 20)])
    (face,) = detections
    code, out, _ = run(capsys, "faces", "one.png", "--json", "--detector", "any.onnx")
    (line,) = out.splitlines()
    record = json.loads(line)
    assert code == 0 and (record["image"], record["width"], record["height"]) == ("one.png", 320, 200)
    assert record["faces"][0]["box"] == pytest.approx(face.box, abs=0.006) and len(record["faces"][0]["points"]) == 5
    detections.clear()
    code, out, err = run(capsys, "faces", "one.png", "--json", "--detector", "any.onnx")
    assert code == 1 and json.loads(out)["faces"] == [] and "no face was found" in err


def test_nothing_is_written_but_the_result(tmp_path):
    """Every file that a run opens for writing, in a process of its own: results and the manifest, in the output."""
    import subprocess

    (tmp_path / "in").mkdir()
    for k in range(2):
        images.write_png(images.to_pil(gallery.aligned_face(k, 0)), tmp_path / f"in/me{k}.png")
    watch = (
        "import os, sys\n"
        "def hook(event, args):\n"
        "    if event == 'open' and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):\n"
        "        print('wrote', args[0], flush=True)\n"
        "sys.addaudithook(hook)\n"
        "from revpers_core.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    call = ["anonymize", "in", "-o", "out", "--detector", "pocket", "--no-face", "blur", *FAST]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", watch, *call], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    written = {line.removeprefix("wrote ") for line in done.stdout.splitlines() if line.startswith("wrote ")}
    written -= {name for name in written if name.startswith("/dev/") or name.isdigit()}
    assert "out/manifest.jsonl" in written
    strangers = {name for name in written if not Path(name).is_relative_to("out")}
    assert not strangers
    left = {path.name for path in tmp_path.rglob("*") if path.is_file() and "in" not in path.parts}
    assert left <= {"me0_anonymous.png", "me1_anonymous.png", "manifest.jsonl"}


def test_a_photo_without_a_face_leaves_no_file_unless_the_user_chose_so(capsys, detections, tmp_path):
    photo("none.png", [])
    call = ["anonymize", "none.png", "-o", "out", "--detector", "any.onnx", *FAST]
    code, _, err = run(capsys, *call)
    assert code == 1 and "no face was found" in err and not list((tmp_path / "out").iterdir())
    code, _, _ = run(capsys, *call, "--no-face", "blur")
    assert code == 0 and (tmp_path / "out" / "none_anonymous.png").exists()


def test_people_and_parts_can_be_kept(capsys, detections):
    """The reference is the photo itself: its first face is left alone."""
    detections += photo("two.png", [(10, 20), (180, 40)])
    call = ["anonymize", "two.png", "-o", "out", "--json", "--detector", "any.onnx", *FAST]
    code, out, err = run(capsys, *call, "--keep", "two.png", "--likeness", 0.999)
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert len(record["faces"]) == 1 and record["kept"][0]["box"][0] == detections[0].box[0]
    changed = (images.read("out/two_anonymous.png") - images.read("two.png")).abs().amax(0)
    assert changed[:140, :138].max() == 0 and changed[60:140, 200:290].max() > 0.05

    detections[:] = detections[1:]
    code, _, _ = run(capsys, *call, "--keep-parts", "eyes", "--keep-parts", "mouth")
    changed = (images.read("out/two_anonymous.png") - images.read("two.png")).abs().amax(0)
    x, y = detections[0].points[0].round().int().tolist()
    eyes = [images.read(name)[:, y - 3 : y + 4, x - 5 : x + 6] for name in ("out/two_anonymous.png", "two.png")]
    (now, then) = ((one - one.mean((1, 2), keepdim=True)).flatten() for one in eyes)
    assert code == 0 and changed.max() > 0.05 and torch.corrcoef(torch.stack([now, then]))[0, 1] > 0.8


def test_crop_factor_and_feather_count_or_are_refused(capsys, detections):
    detections += photo("one.png", [(40, 20)])
    call = ["anonymize", "one.png", "-o", "out", "--json", "--seed", 1, *FAST]
    results: list[torch.Tensor] = []
    for more in ([], ["--crop-factor", 1, "--feather", 0.25], ["--crop-factor", 1.5], ["--feather", 1]):
        assert run(capsys, *call, *more, "--detector", "any.onnx")[0] == 0
        results.append(images.read("out/one_anonymous.png"))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2]) and not torch.equal(results[0], results[3])
    for more, words in (
        (["--crop-factor", 4, "--detector", "any.onnx"], "crop_factor must be from 1 to 3"),
        (["--crop-factor", 2, "--method", "nullface", "--detector", "any.onnx"], "nullface knows the paper's square"),
        (["--crop-factor", 2, "--crops"], "are for photos"),
    ):
        code, _, err = run(capsys, *call, *more)
        assert code and words in err


def test_everyone_kept_is_told_and_nobody_on_a_reference_is_an_error(capsys, detections, tmp_path):
    detections += photo("one.png", [(40, 20)])
    call = ["anonymize", "one.png", "-o", "out", "--json", "--detector", "any.onnx", "--keep", "one.png", *FAST]
    code, out, _ = run(capsys, *call)
    assert code == 0 and json.loads(out)["verdict"] == "everyone was kept: nothing is anonymized"
    detections.clear()
    code, out, err = run(capsys, *call)
    assert (code, out) == (1, "") and "no face was found in this reference photo" in err
    code, _, err = run(capsys, "anonymize", "one.png", "-o", "out", "--keep", "one.png", *FAST)
    assert code == 1 and "give a --detector" in err


def test_detectors_have_names(capsys, monkeypatch, tmp_path):
    photo("one.png", [])
    opened = []
    packs = tmp_path / "packs"
    for folder in (packs / "buffalo_l", tmp_path / "mine"):
        folder.mkdir(parents=True)
        (folder / "det_10g.onnx").write_bytes(b"a net")
    monkeypatch.setattr(registry, "PACKS", packs)
    monkeypatch.setattr(registry, "centerface", lambda: tmp_path / "centerface.onnx")
    monkeypatch.setattr(detect, "load", lambda *asked: opened.append(asked) or (lambda image: []))
    names = ("pocket", "centerface", "mine.onnx", "mine", "buffalo_l")
    run(capsys, "faces", "one.png", "--provider", "cpu", *(part for name in names for part in ("--detector", name)))
    files = [pocket.DETECTOR, tmp_path / "centerface.onnx", "mine.onnx"]
    files += [Path("mine/det_10g.onnx"), packs / "buffalo_l/det_10g.onnx"]
    assert opened == [(file, "cpu") for file in files]


def test_the_package_runs_a_pack_where_it_is_asked_for(capsys, monkeypatch):
    photo("one.png", [])
    asked = []
    monkeypatch.setattr(insightface, "load_pack", lambda *a, **k: asked.append((a, k)) or (lambda image: []))
    run(capsys, "faces", "one.png", "--detector", "insightface:antelopev2")
    assert asked == [(("antelopev2",), {"provider": "auto"})]


def test_the_pocket_judge_vouches_for_nobody(capsys):
    """Whatever it says: it knows rendered faces only."""
    from revpers_core.media.verdict import verdict

    judge = registry.judge("pocket")
    assert verdict([judge]).startswith("unverified") and verdict([]) == "unverified"
    measured = SimpleNamespace(rule=SimpleNamespace(vouches=True, measured=True))
    assert verdict([judge, measured]) == "not re-identified by 1 of 1 judges"


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_is_made_resumed_and_told(capsys, tmp_path):
    """Places stay, the manifest has settings and versions, no drawn seed and no absolute path; only what is missing or
    was made otherwise is made again; results do not depend on what else is in the folder."""
    (tmp_path / "in/sub").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.png", "sub/a.png")):
        face(f"in/{name}", seed=seed)
    call = ["anonymize", "in", "-o", "out", "--json", "--seed", 3, *FAST]
    code, out, err = run(capsys, *call)
    assert (code, err, len(out.splitlines())) == (0, "", 3)
    results = ["a_anonymous.png", "b_anonymous.png", "sub/a_anonymous.png"]
    first = {name: (tmp_path / "out" / name).read_bytes() for name in results}
    records = lines(tmp_path / "out/manifest.jsonl")
    assert [one["image"] for one in records] == ["a.png", "b.png", "sub/a.png"]
    assert [one["output"] for one in records] == results and records[0]["settings"]["seed"] == 3
    assert records[0]["versions"]["torch"] and records[0]["settings"]["steps"] == 3
    assert str(tmp_path) not in (tmp_path / "out/manifest.jsonl").read_text()

    assert run(capsys, *call) == (0, "", "")
    (tmp_path / "out" / results[1]).unlink()
    code, out, _ = run(capsys, *call)
    assert [json.loads(line)["image"] for line in out.splitlines()] == ["in/b.png"]
    assert (tmp_path / "out" / results[1]).read_bytes() == first[results[1]]
    os.utime(tmp_path / "in/a.png", (2e9, 2e9))  # touched: the same photo all the same
    face("in/sub/a.png", (112, 112), seed=8)
    os.utime(tmp_path / "in/sub/a.png", (1e9, 1e9))
    code, out, _ = run(capsys, *call)
    assert [json.loads(line)["image"] for line in out.splitlines()] == ["in/sub/a.png"], "another picture"
    first[results[2]] = (tmp_path / "out" / results[2]).read_bytes()

    run(capsys, "anonymize", "in/sub/a.png", "-o", "alone", "--seed", 3, *FAST)
    assert (tmp_path / "alone/a_anonymous.png").read_bytes() == first[results[2]]
    assert [p.name for p in (tmp_path / "alone").iterdir()] == ["a_anonymous.png"]

    code, out, _ = run(capsys, "anonymize", "in", "-o", "out", "--json", *FAST)
    assert len(out.splitlines()) == 3, "other settings: made again"
    assert "seed" not in lines(tmp_path / "out/manifest.jsonl")[-1]["settings"]


def test_failures_in_a_folder_are_told_and_tried_again(capsys, tmp_path):
    (tmp_path / "in").mkdir()
    face("in/good.png")
    face("in/wide.png", (120, 96))
    (tmp_path / "in/notes.txt").write_text("no picture")
    call = ["anonymize", "in", "-o", "in/out", "--json", "--seed", 3, *FAST]
    code, out, err = run(capsys, *call)
    assert code == 1 and len(out.splitlines()) == 1 and "in/wide.png" in err
    bad = lines(tmp_path / "in/out/manifest.jsonl")[-1]
    assert bad["image"] == "wide.png" and "120 x 96" in bad["error"] and "verdict" not in bad
    face("in/wide.png")
    with (tmp_path / "in/out/manifest.jsonl").open("a") as file:
        file.write('{"image": "good.png", "out')  # a crash while writing
    code, out, _ = run(capsys, *call)
    assert code == 0 and [json.loads(line)["image"] for line in out.splitlines()] == ["in/wide.png"]
    assert run(capsys, "anonymize", "nowhere_to_be", "-o", "out", *FAST)[0] == 1
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, "anonymize", "empty", "-o", "out", *FAST)
    assert code == 1 and "no pictures" in err


def test_a_curve_on_peoples_photos(capsys, tmp_path, monkeypatch):
    """Two photos each of three people; the judge goes by the pixels, so the photo control finds everyone."""
    judge = SimpleNamespace(
        name="pixels", rule=None, embed=lambda image, face: image, similarity=lambda a, b: -float((a - b).abs().mean())
    )
    monkeypatch.setattr(registry, "load_judge", lambda path: judge)
    for seed, name in enumerate(("ann", "bob", "eve")):
        (tmp_path / "people" / name).mkdir(parents=True)
        pixels = face(f"people/{name}/1.png", seed=seed)
        Image.fromarray(pixels // 2).save(f"people/{name}/2.png")
    call = ["curve", "--photos", "people", "--crops", "--judge", "pocket", "--steps", 2, "--skip", 0.5, "-o", "out"]
    code, _, err = run(capsys, *call)
    assert (code, err) == (0, "")
    report = json.loads((tmp_path / "out/curve.json").read_text())
    rows = {(row["method"], row["guidance"]): row for row in report["rows"]}
    assert rows["photo", None]["auc"]["value"] == rows["photo", None]["rank1"]["value"] == 1
    assert len(rows) == 2 + 2 * 7 and ("ours", -10.0) in rows
    assert "| pixels | photo |" in (tmp_path / "out/curve.md").read_text()
    (tmp_path / "people/eve/2.png").unlink()
    code, _, err = run(capsys, *call)
    assert code == 1 and "eve" in err and "two photos" in err


def test_presets_and_steps_of_ones_own(capsys, monkeypatch):
    plans = []
    face("me.png")

    def stop(job, source, output, on_step):
        plans.append((job.plan.steps, job.plan.skip))
        raise ValueError("seen enough")

    monkeypatch.setattr(anonymize, "anonymize_file", stop)
    own = ["--preset", "custom", "--skip", "0.5"]
    for more in ([], ["--preset", "paper"], ["--preset", "fast"], ["--steps", "7"], own):
        assert run(capsys, "anonymize", "me.png", "-o", "out", *more)[0] == 1
    assert plans == [(16, 0.7), (100, 0.7), (10, 0.7), (7, 0.7), (16, 0.5)]
    code, _, err = run(capsys, "anonymize", "me.png", "-o", "out", "--preset", "paper", "--steps", "7")
    assert code == 1 and "leave out --preset paper" in err
