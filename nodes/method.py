"""The method's three boxes: what the new face may look like, the way back into noise, the way out as somebody else."""

import comfy.cli_args
import comfy.model_management
import latent_preview
from comfy_api.latest import io
from comfy_execution import caching
from comfy_execution.graph_utils import GraphBuilder

from ..revpers_core.faces.geometry import shares
from ..revpers_core.hosts import comfy as host
from ..revpers_core.hosts.comfy_backbone import wordless
from ..revpers_core.hosts.comfy_check import check_latent
from ..revpers_core.hosts.comfy_prompt import vae_link
from ..revpers_core.media.pseudonyms import same_person
from ..revpers_core.media.stand_ins import for_crops
from ..revpers_core.method import settings
from ..revpers_core.method.settings import CUSTOM, resolve_preset
from ..revpers_core.method.types import Attribute, Method
from . import sockets
from .provenance import check_photo_is_there
from .pseudonym import recipe_of

ANY = "any"


class AttributePrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "AttributePrompt",
            "New Face Looks Like (Attribute Prompt)",
            description="Says in words who the new face may look like. Say nothing to leave it open.",
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoders of the checkpoint."),
                io.Combo.Input(
                    "age",
                    options=[ANY, "child", "young", "middle-aged", "old"],
                    default=ANY,
                    tooltip="Age of the new face; 'any' leaves it open.",
                ),
                io.Combo.Input(
                    "sex",
                    options=[ANY, "woman", "man"],
                    default=ANY,
                    tooltip="Sex of the new face; 'any' leaves it open.",
                ),
                io.String.Input("look", default="", tooltip="Features, such as: dark skin, freckles, red hair, beard."),
                io.String.Input(
                    "text", default="", multiline=True, tooltip="Anything else, put behind the other words."
                ),
            ],
            outputs=[
                io.Conditioning.Output("positive", tooltip="The empty prompt. To the inversion."),
                io.Conditioning.Output("attribute", tooltip="The words. To the sampler."),
            ],
        )

    @classmethod
    def execute(cls, clip, age: str, sex: str, look: str, text: str) -> io.NodeOutput:
        if clip is None:
            raise ValueError(
                "clip is missing: use a checkpoint with its text encoders, or load them with DualCLIPLoader"
            )
        words = Attribute("" if age == ANY else age, "" if sex == ANY else sex, look, text).prompt
        positive = clip.encode_from_tokens_scheduled(clip.tokenize(""))
        attribute = clip.encode_from_tokens_scheduled(clip.tokenize(words)) if words else wordless(clip, positive)
        return io.NodeOutput(positive, attribute)


class NullIDInvertDPMPP(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "NullIDInvertDPMPP",
            "Take the Photo Apart (Null-ID Invert)",
            description=(
                "Inverts the photo with nobody's identity (edit-friendly SDE-DPM-Solver++). Runs once per photo: "
                "another person, look or guidance re-uses it."
            ),
            advanced=("at_once", "student"),
            inputs=[
                io.Model.Input("model", tooltip="An SDXL or SD 1.5 model. Give the sampler the same."),
                sockets.Adapter.Input("adapter", tooltip="From 'Load FaceID Adapter'. Give the sampler the same."),
                io.Conditioning.Input("positive", tooltip="From 'New Face Looks Like'."),
                io.Latent.Input("latent", tooltip="The encoded face crops. A mask on it confines the change."),
                sockets.choice("preset", settings.PRESET, optional=True),
                *sockets.own_steps(),
                sockets.noise_seed(),
                sockets.number("at_once", settings.AT_ONCE, optional=True),
                sockets.choice("student", settings.STUDENT, optional=True),
                sockets.Crops.Input(
                    "places",
                    optional=True,
                    tooltip="From 'Cut Faces Out', for InstantID's ControlNet: where crops have eyes, nose and mouth. "
                    "Without, as in FFHQ's framing.",
                ),
            ],
            outputs=[
                sockets.Trajectory.Output(
                    "trajectory", tooltip="Restores the original photo: never share it. To the sampler."
                )
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
        )

    @classmethod
    def execute(
        cls, model, adapter, positive, latent, steps: int = settings.STEPS.default, skip: float = settings.SKIP.default,
        seed: int = settings.SEED.default, preset: str = CUSTOM, at_once: int = 0, places=None,
        student: str = settings.STUDENT.default,
    ) -> io.NodeOutput:  # fmt: skip
        check_photo_is_there(cls.hidden)
        levels = host.levels(model, *resolve_preset(preset, steps, skip, student))
        callback = latent_preview.prepare_callback(model, len(levels) - 1)
        points = None if places is None else shares([crop for _, crop in places])
        path = host.invert_latent(model, adapter, positive, latent, levels, seed, callback, at_once, points)
        return io.NodeOutput(path._replace(preset=preset, student=student))


class NegativeIDGuidanceSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "NegativeIDGuidanceSampler",
            "Become Somebody Else (Negative ID Sampler)",
            description=(
                "Samples the photo again along the same noise, away from the person it shows, and looks at the result: "
                "a face that is still the person, or hardly changed, is an error."
            ),
            advanced=("guidance", "method", "allow_unchanged"),
            enable_expand=True,
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            inputs=[
                io.Model.Input("model", tooltip="The same model as for the inversion."),
                sockets.Adapter.Input("adapter", tooltip="The same adapter as for the inversion."),
                sockets.Identity.Input("identity", tooltip="Who to lead away from, from 'Who Is It'."),
                sockets.Trajectory.Input("trajectory", tooltip="From 'Take the Photo Apart'."),
                io.Conditioning.Input("attribute", tooltip="From 'New Face Looks Like'."),
                sockets.number("strength", settings.STRENGTH, optional=True),
                sockets.number(
                    "guidance",
                    settings.GUIDANCE,
                    lead="For experts; other than -10 it counts instead of strength: ",
                    optional=True,
                ),
                sockets.choice("method", settings.METHOD, optional=True),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="For the look at the result. Without a wire: that of the photo's 'VAE Encode'.",
                ),
                io.Boolean.Input(
                    "allow_unchanged",
                    optional=True,
                    default=False,
                    tooltip="Hand back whatever comes out, the person as they were included. For experiments.",
                ),
                *sockets.instead_inputs(),
                sockets.judge_input(),
            ],
            outputs=[io.Latent.Output("latent", tooltip="To 'VAE Decode'.")],
        )

    @classmethod
    def execute(
        cls, model, adapter, identity, trajectory, attribute, strength: float = settings.STRENGTH.default,
        guidance: float = settings.GUIDANCE.default, method: str = settings.METHOD.default, vae=None,
        allow_unchanged: bool = False, instead=None, who: str = settings.NOBODY, person: int = 0,
        judge=(),
    ) -> io.NodeOutput:  # fmt: skip
        guidance = settings.guidance_from(strength, guidance)
        if not allow_unchanged:
            host.check_sampling(trajectory, guidance)
        host.warn_student(trajectory.student, guidance)
        pseudonyms = recipe_of(instead, who, person, method, trajectory.preset).start(same_person(identity))
        stand_ins = for_crops(pseudonyms, identity) if pseudonyms else None
        callback = latent_preview.prepare_callback(model, trajectory.path.steps)
        latent = host.sample_latent(
            model, adapter, identity, trajectory, attribute, guidance, callback, stand_ins, Method(method)
        )
        latent = {**latent, "samples": latent["samples"].to(comfy.model_management.intermediate_device())}
        if allow_unchanged:
            return io.NodeOutput(latent)
        if vae is not None:
            check_latent(latent, trajectory, identity, vae, judge)
            return io.NodeOutput(latent)
        return cls._checked_by_the_prompts_vae(latent, identity, trajectory, judge)

    @classmethod
    def _checked_by_the_prompts_vae(cls, latent, identity, trajectory, judge) -> io.NodeOutput:
        """Expands into 'Did the Face Change?', wired to the prompt's VAE; out of a prompt nothing looks."""
        if cls.hidden is None or cls.hidden.dynprompt is None:
            return io.NodeOutput(latent)
        link = vae_link(cls.hidden.dynprompt, str(cls.hidden.unique_id))
        if link is None:
            raise ValueError(
                "vae: no VAE is wired to the photo or the result, so that nobody can look whether the face changed: "
                "connect the checkpoint's VAE to this box, or switch allow_unchanged on"
            )
        if comfy.cli_args.args.cache_none and hasattr(caching, "DependencyAwareCache"):
            raise ValueError(
                "vae: this ComfyUI cannot fetch the VAE by itself under --cache-none: connect the checkpoint's VAE to "
                "this box"
            )
        graph = GraphBuilder()
        inputs = {"latent": latent, "identity": identity, "trajectory": trajectory, "judge": judge}
        check = graph.node("RevPersCheckChange", vae=link, **inputs)
        return io.NodeOutput(check.out(0), expand=graph.finalize())
