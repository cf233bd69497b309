"""What a running prompt says of a picture: which VAE encoded it, whether our boxes made it, whether it was rendered.

prompt: ComfyUI's DynamicPrompt. A link is [node id, output's number]. Bypassed boxes are in no prompt: what they would
have made comes from the box before them.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

Link = list[Any]
Kind = Callable[[str, int], str]
"""(class of a node, output's number) -> the socket's type, "*" where it is not known."""

MAKERS = {"NegativeIDGuidanceSampler", "RevPersAnonymizeFaces", "RevPersAnonymizeVideo"}
"""Boxes whose pictures or latents show somebody else."""
PASTES = {"RevPersPasteFaces": "crop"}
"""Boxes that put made pictures into others: the input that must be made."""
SHOWS_ORIGINALS = {"RevPersUnseal"}
"""Boxes that make people themselves again: whatever goes in, what comes out is never made."""
RENDERED = {"RevPersPocketFace"}
"""Boxes that give pictures of nobody."""
POCKET, EVERYTHING = "RevPersLoadPocket", "RevPersLoadEverything"
POCKET_CHOICE = "pocket model (demo)"
"""The checkpoint of 'Load Everything' for rendered faces, which comes with the pack: only for who asks for it."""
GREYS_OUT = {"VAEEncodeForInpaint"}
"""Boxes that paint over the masked place before they encode a picture."""
PICTURES = ("IMAGE", "LATENT", "VIDEO", "*")
CARRIERS = re.compile("^COMFY_|,|IMAGE|LATENT|VIDEO|LIST|PIPE|SEGS|LAYERS|DICT|ARRAY")
"""Types of sockets that may carry pictures or none, such as the output of a switch: what goes into the box tells."""
OUTPUTS = 16
"""So many outputs of a box are asked for their types."""


def vae_link(prompt: Any, node: str) -> Link | None:
    """The VAE that encoded the photo of a sampler, or else one that decodes its result; None where there is none."""
    for above in upstream(prompt, [prompt.get_node(node)["inputs"].get("trajectory")]):
        if is_link(link := prompt.get_node(above)["inputs"].get("vae")):
            return link
    for other in prompt.all_node_ids():
        inputs = prompt.get_node(other)["inputs"]
        reads = any(is_link(value) and value[0] == node for value in inputs.values())
        if reads and is_link(link := inputs.get("vae")):
            return link
    return None


def is_made(prompt: Any, link: Any, kind: Kind) -> bool:
    """Whether our boxes made all that comes through a link: no way through pictures and latents leads past them."""
    if not is_link(link) or not prompt.has_node(link[0]):
        return False
    node = prompt.get_node(link[0])
    name, inputs = node["class_type"], node["inputs"]
    if name in MAKERS:
        return True
    if name in SHOWS_ORIGINALS:
        return False
    if name in PASTES:
        return is_made(prompt, inputs.get(PASTES[name]), kind)
    ways = _pictures(prompt, inputs, kind)
    return bool(ways) and all(is_made(prompt, link_above, kind) for link_above in ways)


def is_a_photo(prompt: Any, link: Any, kind: Kind) -> bool:
    """Whether a picture that was not rendered stands above a link."""
    for node in upstream(prompt, [link]):
        name, inputs = prompt.get_node(node)["class_type"], prompt.get_node(node)["inputs"]
        if name in MAKERS | RENDERED or _pictures(prompt, inputs, kind):
            continue
        if any(kind(name, number) in ("IMAGE", "VIDEO", "LATENT") for number in range(OUTPUTS)):
            return True
    return False


def is_pocket_on_a_photo(prompt: Any, link: Any, kind: Kind) -> bool:
    """Whether the pocket model stands above a link, and a picture that was not rendered."""
    return is_a_photo(prompt, link, kind) and any(
        node["class_type"] == POCKET
        or (node["class_type"] == EVERYTHING and node["inputs"].get("checkpoint") == POCKET_CHOICE)
        for node in map(prompt.get_node, upstream(prompt, [link]))
    )


def is_greyed_out(prompt: Any, link: Any, kind: Kind) -> bool:
    """Whether a latent comes from a box that has painted over what the mask shows, with no sampler after it."""
    if not is_link(link) or not prompt.has_node(link[0]):
        return False
    node = prompt.get_node(link[0])
    if node["class_type"] in GREYS_OUT:
        return True
    links = [value for value in node["inputs"].values() if is_link(value) and prompt.has_node(value[0])]
    kinds = [kind(prompt.get_node(above)["class_type"], number) for above, number in links]
    latents = [above for above, name in zip(links, kinds, strict=True) if name == "LATENT" or CARRIERS.search(name)]
    return "MODEL" not in kinds and any(is_greyed_out(prompt, above, kind) for above in latents)


def upstream(prompt: Any, links: list[Any]) -> Iterator[str]:
    """The nodes above links, the nearest first, each once."""
    todo, visited = list(links), set[str]()
    while todo:
        link = todo.pop(0)
        if not is_link(link) or link[0] in visited or not prompt.has_node(link[0]):
            continue
        visited.add(link[0])
        yield link[0]
        todo += prompt.get_node(link[0])["inputs"].values()


def is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _pictures(prompt: Any, inputs: dict[str, Any], kind: Kind) -> list[Link]:
    """The links among inputs that carry pictures or latents."""
    links = [value for value in inputs.values() if is_link(value) and prompt.has_node(value[0])]
    return [link for link in links if _is_picture(prompt, link, kind)]


def _is_picture(prompt: Any, link: Link, kind: Kind) -> bool:
    node = prompt.get_node(link[0])
    name = kind(node["class_type"], link[1])
    return name in PICTURES or (bool(CARRIERS.search(name)) and bool(_pictures(prompt, node["inputs"], kind)))
