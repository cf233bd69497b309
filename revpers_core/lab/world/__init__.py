"""The face world: rendered people whose identity, expression, pose, light and words are known numbers.

``factors``, ``person`` and ``shot`` are plain numpy and describe any picture from its two seeds; the other modules need
anny and bpy (``requirements.txt``, an environment of its own) and draw it.
"""
