"""Do the tests bite? Each mutation breaks a copy of the code in one place, and the named tests must then fail.

``python tests/mutations.py [WORD ...]`` runs all, or those whose name holds a word; the exit code is the number of
survivors. ``tests/core/test_mutations.py`` proves that each still fits the code; ``make mutations`` runs them all.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
CORE, PARITY = "tests/core/", "tests/parity/test_golden.py"


class Mutation(NamedTuple):
    """One fault: ``old``, which must be there once, becomes ``new`` in a file; tests must see it."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = (
    Mutation(
        "sign of guidance", "method/guidance.py",
        "torch.lerp(uncond, cond, guidance)", "torch.lerp(uncond, cond, -guidance)", CORE + "test_trajectory.py",
    ),
    Mutation(
        "order of the slots", "adapters/layout.py",
        "enumerate(places))", "enumerate(reversed(places)))", CORE + "test_faceid.py",
    ),
    Mutation(
        "LoRA forgotten", "adapters/weights.py",
        'stem = f"{2 * slot + attention - 1}.{projection}_lora"', 'stem = f"{2 * slot}.{projection}_lora"',
        CORE + "test_faceid.py",
    ),
    Mutation(
        "identity attends with the wrong sign", "adapters/attention.py",
        "return text + scale * attend(q, *kv)", "return text - scale * attend(q, *kv)", PARITY,
    ),
    Mutation(
        "history not kept", "method/solver.py", "if past is not None:", "if False:", CORE + "test_solver.py",
    ),
    Mutation(
        "history not reset before the sampling", "method/trajectory.py",
        "if quirks.stale_history:", "if not quirks.stale_history:", CORE + "test_trajectory.py",
    ),
    Mutation(
        "extrapolation twice as far", "method/solver.py", "(h / (2 * h_past))", "(h / h_past)", CORE + "test_solver.py",
    ),
    Mutation(
        "sigma off by one", "method/schedule.py",
        "for t in [*steps, 0])", "for t in [*(s + 1 for s in steps), 0])", PARITY,
    ),
    Mutation(
        "seed ignored", "method/trajectory.py",
        "SeedSequence([self.seed, index, k])", "SeedSequence([0, index, k])", CORE + "test_trajectory.py",
    ),
    Mutation(
        "one noise for every step", "method/trajectory.py",
        "SeedSequence([self.seed, index, k])", "SeedSequence([self.seed, index, 0])", CORE + "test_trajectory.py",
    ),
    Mutation(
        "the inversion under somebody", "method/anonymize.py",
        "(null or null_identity(1)).rows(rows)", "ports.embed(image[rows])", CORE + "test_fail_closed.py",
    ),
    Mutation(
        "latent mask inverted", "method/trajectory.py",
        "mask(sigma_next).to(x))", "1 - mask(sigma_next).to(x))", CORE + "test_trajectory.py",
    ),
    Mutation(
        "photo mask ignored", "faces/masks.py", "if where is not None:", "if False:", CORE + "test_fail_closed.py",
    ),
    Mutation(
        "feather gone", "faces/masks.py", "FEATHER = 0.25", "FEATHER = 0.001", CORE + "test_faces_paste.py",
    ),
    Mutation(
        "threshold inverted", "faces/judges.py",
        "return not self.similarity(a, b) < self.rule.threshold", "return self.similarity(a, b) < self.rule.threshold",
        CORE + "test_faces_judges.py",
    ),
    Mutation(
        "a judge that cannot compare sees a stranger", "faces/judges.py",
        "return not self.similarity(a, b) < self.rule.threshold", "return self.similarity(a, b) >= self.rule.threshold",
        CORE + "test_faces_judges.py",
    ),
    Mutation(
        "unchanged face handed back", "method/anonymize.py", ">= SAME_PERSON", ">= 2.0",
        CORE + "test_fail_closed.py",
    ),
    Mutation(
        "guidance that leads nowhere accepted", "media/photo.py",
        "if options.guidance >= 0:", "if False:", CORE + "test_fail_closed.py",
    ),
    Mutation(
        "missed face passed", "media/photo.py", "if not missed and not recognised:", "if not recognised:",
        CORE + "test_photo.py",
    ),
    Mutation(
        "recognised face passed", "media/photo.py", "if not missed and not recognised:", "if not missed:",
        CORE + "test_photo.py",
    ),
    Mutation(
        "photo without a face handed back", "media/photo.py",
        "if not faces:\n        raise NoFaceError", "if False:\n        raise NoFaceError", CORE + "test_photo.py",
    ),
    Mutation(
        "judge that steered counts as independent", "media/verdict.py",
        "SAME_NET = 0.9", "SAME_NET = 2.0", CORE + "test_photo.py",
    ),
    Mutation(
        "judge of rendered faces vouches for photos", "faces/judges.py",
        "return self.measured and not self.rendered", "return self.measured", CORE + "test_fail_closed.py",
    ),
    Mutation(
        "not finite result handed back", "method/anonymize.py",
        "if not torch.isfinite(values).all():", "if False:", CORE + "test_fail_closed.py",
    ),
    Mutation(
        "EXIF turn ignored", "media/image_file.py",
        "return picture.transpose(TURNS[turn]) if isinstance(turn, int) and turn in TURNS else picture",
        "return picture", CORE + "test_images.py",
    ),
    Mutation(
        "metadata kept", "media/images.py",
        "bare = Image.frombytes(image.mode, image.size, image.tobytes())", "bare = image", CORE + "test_images.py",
    ),
    Mutation(
        "lost face counts as anonymous", "audit/compare.py",
        "return self.lost or any(self.known) or any(self.blind)", "return any(self.known) or any(self.blind)",
        CORE + "test_audit.py",
    ),
    Mutation(
        "missing result passes the audit", "audit/report.py",
        "wrong = self.missing or self.unseen", "wrong = self.unseen", CORE + "test_audit.py",
    ),
)  # fmt: skip


def mutated(mutation: Mutation, text: str) -> str:
    """The file's text with the fault. Raises ValueError where it does not fit the code any more."""
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.name}: {mutation.old!r} is there {text.count(mutation.old)} times, not once")
    return text.replace(mutation.old, mutation.new)


def survives(mutation: Mutation) -> bool:
    """Whether the named tests pass in spite of the fault."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("revpers_core", "tests", "nodes", "workflows", "docs"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("pyproject.toml", "__init__.py", "README.md", "CHANGELOG.md"):
            shutil.copy(ROOT / part, copy / part)
        path = copy / "revpers_core" / mutation.file
        path.write_text(mutated(mutation, path.read_text()))
        call = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutation.tests.split()]
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(call, cwd=copy, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{mutation.name}: the tests did not run:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main(words: list[str]) -> int:
    """Prints a line a mutation; returns how many survive."""
    survivors = 0
    for mutation in MUTATIONS:
        if words and not any(word in mutation.name for word in words):
            continue
        alive = survives(mutation)
        survivors += alive
        print(f"{'SURVIVES' if alive else 'seen    '}  {mutation.name} ({mutation.tests})", flush=True)
    print(f"{survivors} survive" if survivors else "none survives")
    return survivors


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
