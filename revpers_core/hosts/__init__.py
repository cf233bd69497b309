"""Where the method runs: ComfyUI (``comfy*.py``) and diffusers (``diffusers*.py``)."""
