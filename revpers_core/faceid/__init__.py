"""IP-Adapter-FaceID (h94): where its weights belong in an SDXL UNet, what its file holds, what it adds to attention."""
