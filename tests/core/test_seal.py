"""The way back: the original bit for bit with the key, an error and no file without it, the chosen people alone."""

import numpy as np
import pytest
import torch
from PIL import Image

from revpers_core.cli.main import main
from revpers_core.media import seal

KEY = b"a sentence that nobody guesses"
CROPS = ("--steps", "3", "--skip", "0.5", "--guidance", "-10", "--crops", "--seed", "5")


def noise(seed: int, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def place(x: int) -> torch.Tensor:
    mask = torch.zeros(1, 40, 60)
    mask[:, 5:25, x : x + 20] = 0.5
    return mask


@pytest.fixture
def pair():
    """A picture, its result with two changed faces that overlap and a word below, and where the faces may change."""
    original, faces = noise(0), [place(5), place(20)]
    result = original.copy()
    for k, mask in enumerate(faces, 1):
        where = mask[0].numpy() > 0
        result[where] = noise(k)[where]
    result[35:] = 255
    return original, result, faces


def test_everything_comes_back_bit_for_bit(pair, tmp_path):
    original, result, faces = pair
    path = tmp_path / "a.sealed"
    seal.write(path, original, result, KEY, seal.regions(original, result, faces, ["face 1", "face 2"]))
    assert np.array_equal(seal.unseal(path, result, KEY), original)
    assert seal.people(path, KEY) == ["face 1", "face 2", "the rest"]
    raw = path.read_bytes()
    assert original[5:25, 5:20].tobytes()[:64] not in raw and b"face" not in raw


def test_one_persons_pixels_alone_come_back_and_never_the_neighbours(pair, tmp_path):
    """Where two faces overlap the pixels are the later one's, who was pasted over."""
    original, result, faces = pair
    every = seal.regions(original, result, faces, ["face 1", "face 2"])
    path = tmp_path / "a.sealed"
    seal.write(path, original, result, KEY, every)
    back = seal.unseal(path, result, KEY, ["face 1"])
    assert np.array_equal(back[5:25, 5:20], original[5:25, 5:20])
    assert np.array_equal(back[5:25, 20:40], result[5:25, 20:40]) and np.array_equal(back[25:], result[25:])
    seal.write(path, original, result, KEY, [one for one in every if one.name == "face 2"])
    back = seal.unseal(path, result, KEY)
    assert np.array_equal(back[5:25, 20:40], original[5:25, 20:40])
    assert np.array_equal(back[5:25, 5:20], result[5:25, 5:20]), "who was not chosen must not be in the file"
    with pytest.raises(ValueError, match="'face 1' is not in it, only face 2"):
        seal.unseal(path, result, KEY, ["face 1"])


def test_a_wrong_key_a_touched_file_and_another_picture_are_errors(pair, tmp_path):
    original, result, faces = pair
    path = tmp_path / "a.sealed"
    seal.write(path, original, result, KEY, seal.regions(original, result, faces, ["face 1", "face 2"]))
    with pytest.raises(ValueError, match="the key is not the one"):
        seal.unseal(path, result, KEY + b"!")
    other = result.copy()
    other[0, 0, 0] ^= 1
    for changed in (other, result[:, :-1]):
        with pytest.raises(ValueError, match="not the one that it was sealed with"):
            seal.unseal(path, changed, KEY)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="was changed"):
        seal.unseal(path, result, KEY)
    with pytest.raises(ValueError, match="cannot be read"):
        seal.unseal(tmp_path / "missing.sealed", result, KEY)


@pytest.fixture
def desk(random_pocket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise(3, (96, 96))).save("me.png")
    (tmp_path / "key.txt").write_bytes(KEY)
    (tmp_path / "other.txt").write_bytes(b"quite another sentence")
    return tmp_path


def run(capsys, *arguments):
    code = main([*map(str, arguments)])
    return code, *capsys.readouterr()


def test_the_command_seals_and_unseals(capsys, desk):
    """A crop that the model takes at another size: the original has its own."""
    assert run(capsys, "anonymize", "me.png", "-o", "out", *CROPS)[0] == 0
    assert not list(desk.glob("out/*.sealed")), "never unless it is asked for"
    assert run(capsys, "anonymize", "me.png", "-o", "out", "--seal", "key.txt", *CROPS)[0] == 0
    result = "out/me_anonymous.png"
    code, _, err = run(capsys, "unseal", result, "--key", "other.txt", "-o", "back")
    assert code == 1 and "the key is not the one" in err and not (desk / "back/me_original.png").exists()
    code, out, _ = run(capsys, "unseal", result, "--key", "key.txt", "-o", "back")
    assert code == 0 and out.strip() == "back/me_original.png"
    assert np.array_equal(np.asarray(Image.open("back/me_original.png")), noise(3, (96, 96)))
    code, _, err = run(capsys, "unseal", result, "--key", "key.txt", "-o", "back")
    assert code == 1 and "is there already" in err
    with Image.open(result) as picture:
        assert not picture.info, "nothing of it is inside the picture"


def test_a_pair_that_is_there_can_be_sealed(capsys, desk):
    changed = noise(3, (96, 96))
    changed[20:50, 20:50] = 0
    Image.fromarray(changed).save("result.png")
    assert run(capsys, "seal", "me.png", "result.png", "--key", "key.txt")[0] == 0
    assert run(capsys, "seal", "me.png", "result.png", "--key", "key.txt")[0] == 1, "the only way back stays"
    assert run(capsys, "unseal", "result.png", "--key", "key.txt", "-o", "back")[0] == 0
    assert np.array_equal(np.asarray(Image.open("back/result_original.png")), noise(3, (96, 96)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seal", "missing.txt"], "cannot be read"),
        (["--seal-only", "me.png"], "--seal KEYFILE"),
        (["--seal", "key.txt", "--seal-only", "me.png"], "give a --detector"),
    ],
)
def test_what_cannot_be_sealed_is_not_made(capsys, desk, arguments, said):
    code, out, err = run(capsys, "anonymize", "me.png", "-o", "out", *arguments, *CROPS)
    assert code == 1 and said in err and not out and not list(desk.glob("out/*"))
