"""Where a box's picture comes from, by the prompt that runs."""

import sys

from ..revpers_core.hosts import comfy_prompt

EDITED = "or switch edited on if you have seen that nobody is left in it as they were"


def check_made(hidden, name="image", else_do=""):
    """Raises ValueError unless our boxes made all of an input's pictures; out of a prompt nobody can tell.

    else_do: what beside connecting another picture helps.
    """
    if not _ask(comfy_prompt.is_made, hidden, name, otherwise=True):
        raise ValueError(
            f"{name}: no run of ours made this picture, or a box joined it with one that none made: nothing is saved. "
            f"Take a bypassed or muted box back in, connect the finished picture{', ' + else_do if else_do else ''}"
        )


def check_photo_is_there(hidden):
    """Raises ValueError where the face was painted over before it was encoded."""
    if _ask(comfy_prompt.is_greyed_out, hidden, "latent", otherwise=False):
        raise ValueError(
            "latent: 'VAE Encode (for Inpainting)' paints over the masked place before it encodes, so that the person "
            "to lead away from is gone: use 'VAE Encode' and then 'Set Latent Noise Mask'"
        )


def is_pocket_on_a_photo(hidden, name="image"):
    """Whether an input's picture goes back to a photo and to the pocket model."""
    return _ask(comfy_prompt.is_pocket_on_a_photo, hidden, name, otherwise=False)


def is_a_photo(hidden, name="image"):
    """Whether an input's picture goes back to anything that was not rendered. Out of a prompt: False."""
    return _ask(comfy_prompt.is_a_photo, hidden, name, otherwise=False)


def _ask(question, hidden, name, otherwise):
    if hidden is None or hidden.dynprompt is None:
        return otherwise
    prompt = hidden.dynprompt
    return question(prompt, prompt.get_node(str(hidden.unique_id))["inputs"].get(name), _kind)


def _kind(name, number):
    """The type of a node's output."""
    boxes = sys.modules["nodes"].NODE_CLASS_MAPPINGS  # ComfyUI's: the name is our folder's too
    types = getattr(boxes.get(name), "RETURN_TYPES", ())
    return types[number] if number < len(types) else "*"
