"""What the shipped workflows say of themselves, in Markdown, and where their loaders' files come from."""

FILES = (
    "\n\n**Files** (each loader's help page says where they go): "
    "[SDXL base 1.0](https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0), "
    "[ip-adapter-faceid_sdxl.bin](https://huggingface.co/h94/IP-Adapter-FaceID) and "
    "[buffalo_l](https://github.com/deepinsight/insightface/releases/tag/v0.7). The last two are non-commercial."
)
POCKET = (
    "Press **Run**: it needs no file and takes seconds.\n\n"
    "The pocket model comes with the pack and knows rendered faces only. It shows how everything works and does "
    "**not** "
    "anonymize photos: for those open the template without *.pocket*."
)
SAVING = (
    "\n\nKeep *Save Anonymous Image*: *Save Image* would write the workflow with its seed into the picture, and that "
    "helps "
    "to undo the result."
)
JUDGE = "\n\nThe text box says who has checked. As long as nobody has, connect *Load Judge* to **judge**."
LOOK = " Look at the result, faces in the background too."

NOTES = {
    "anonymize_aligned_face": (
        "## A portrait becomes somebody else\n\n"
        "1. **Load Image**: a square photo of one face, framed as in FFHQ (eyes just above the middle). Of any "
        "other its middle square is taken.\n"
        "2. **New Face Looks Like**: say who the new face may look like, or leave it open.\n"
        "3. **strength** in *Become Somebody Else* is how far from the person. Changing it is quick: the photo stays "
        "taken apart.\n"
        "4. Draw the slider of *Before and After*. Another **person** gives another new face; the photo stays taken "
        "apart." + SAVING + FILES
    ),
    "anonymize_aligned_face.pocket": (
        "## A face becomes somebody else\n\n" + POCKET + "\n\n"
        "Then change **person** of *Pocket Face* for another face, **strength** in *Become Somebody Else* for how far "
        "from the person, **age** or **sex** for how the new face looks; draw the slider of *Before and After*. "
        "**who** says who comes instead: a stranger is too much for so small a model at this strength, try .15."
    ),
    "anonymize_everyone": (
        "## Everyone in a photo\n\n"
        "1. **Load Image**: a photo of any size, with any number of people.\n"
        "2. **strength** is how far from the person; 1 is the paper's. **person** is a seed: another one, other "
        "strangers.\n"
        "3. **keep** takes photos of people who stay as they are.\n\n"
        "Afterwards the picture is searched again: a face that was missed is an error, not a result."
        + JUDGE.replace("\n\n", " ")
        + LOOK
        + FILES.replace("\n\n", " ")
    ),
    "anonymize_everyone.pocket": (
        "## Everyone in a picture\n\n"
        + POCKET
        + "\n\nThree rendered people side by side are found, cut out, made into "
        "somebody else and put back." + JUDGE.replace("\n\n", " ")
    ),
    "anonymize_clip": (
        "## Everyone in a clip\n\n"
        "1. **Load Video**: a clip of any length; only some frames are in memory at a time.\n"
        "2. **preset** is what a face of a frame takes; the box says the sum before it begins.\n"
        "3. **judge** looks at every frame, and at the mean over all of them.\n\n"
        "Each person becomes the same stranger in every frame. A face that is lost is interpolated, and blurred where "
        "even that is not sure. The sound stays bit for bit. Keep *Save Anonymous Clip*: *Save Video* would write the "
        "workflow and the source's metadata into the file." + JUDGE + LOOK + FILES
    ),
    "anonymize_clip.pocket": (
        "## Everyone in a clip\n\n" + POCKET + "\n\nTwo rendered people, four frames: each becomes the same stranger "
        "in all of them."
    ),
    "anonymize_keep_one": (
        "## Everyone but one person\n\n"
        "1. First **Load Image**: the photo. Second: another photo of the person to leave alone.\n"
        "2. **likeness** in *Choose Faces* is from where on two faces are one person's. The first preview shows who "
        "was "
        "found.\n"
        "3. The others are made into somebody else in one batch and put back; the kept face and the rest of the photo "
        "stay bit for bit.\n\n"
        "These single steps have no second look: *Anonymize Everyone* with **keep** has one." + FILES
    ),
    "anonymize_keep_one.pocket": (
        "## Everyone but one person\n\n"
        + POCKET
        + "\n\nOf three rendered people the middle one stays, known from another "
        "picture."
    ),
    "same_stranger": (
        "## The same stranger in every photo\n\n"
        "1. Put the photos into a folder inside ComfyUI's *input* folder, press **R**, choose it in *Load Image (from "
        "Folder)*.\n"
        "2. Write a secret sentence into **key** of *Who Comes Instead*. Everyone in the photos gets one stranger, the "
        "same in each photo; two people in one photo never get the same.\n"
        "3. The same key and the same photos give the same strangers in a later run. Other photos need a roster: "
        "`revpers anonymize DIR --roster FILE`. "
        "Results of one key can be linked. The "
        "key is in the workflow: share neither." + JUDGE.replace("\n\n", " ") + LOOK + FILES
    ),
    "same_stranger.pocket": (
        "## The same stranger in every picture\n\n"
        + POCKET
        + "\n\nTwo pictures of one rendered person and one of another: who is who is seen by the recogniser, and each "
        "gets one stranger by **key**. Another key, other strangers."
    ),
    "attributes": (
        "## One photo, two new people\n\n"
        "1. **age**, **sex** and **look** in the two *New Face Looks Like* say who comes instead.\n"
        "2. Change one: only its branch runs again, the photo is taken apart once.\n"
        "3. What you leave open is drawn by the model. Of a photo that is not square the middle square is taken."
        + SAVING
        + FILES
    ),
    "attributes.pocket": (
        "## One face, two new people\n\n"
        + POCKET
        + "\n\nThe photo is taken apart once; each *Become Somebody Else* reads its "
        "own *New Face Looks Like*. **strength** is low, so that more of the face stays."
    ),
    "compare_strengths": (
        "## How far is far enough?\n\n"
        "1. **strengths**: each is tried along one inversion, and shown to a judge that took no part.\n"
        "2. In the audit's picture a bar beyond its line is still recognised. Take the weakest that is not.\n"
        "3. Type that **strength** into the other templates.\n\n"
        "Of a photo that is not square the middle square is taken. The judge is dlib: "
        "`pip install dlib-bin face_recognition_models`. The audit's picture shows the original: it is previewed, not "
        "saved." + FILES
    ),
    "compare_strengths.pocket": (
        "## How far is far enough?\n\n"
        + POCKET
        + "\n\nEach of the **strengths** is tried along one inversion; in the audit's "
        "picture a bar beyond its line is still recognised. The judge knows rendered faces, too, and vouches for "
        "nobody."
    ),
    "keep_eyes_and_mouth": (
        "## The same eyes and mouth\n\n"
        "**keep_eyes_and_mouth** in *Anonymize Everyone* (or in *Put Faces Back*) leaves the most of the expression, "
        "and "
        "more of the person: let a judge look before you call it anonymous." + JUDGE + FILES
    ),
    "keep_eyes_and_mouth.pocket": (
        "## The same eyes and mouth\n\n" + POCKET + "\n\nSwitch **keep_eyes_and_mouth** off to see the difference."
    ),
    "touch_up": (
        "## A touch-up behind it\n\n"
        "A second, weak pass of the same checkpoint over the changed places only: it mends edges and skin.\n\n"
        "1. **denoise** in *KSampler* is how much it may change (0.15 to 0.4).\n"
        "2. The mask comes from *Anonymize Everyone*; *Grow Mask* widens it.\n"
        "3. The photo keeps its shape and is scaled to about a megapixel, in multiples of 8 pixels: others would shift "
        "in the pass." + FILES
    ),
    "touch_up.pocket": (
        "## A touch-up behind it\n\n"
        + POCKET
        + "\n\nA second, weak pass runs over the changed places only; **denoise** is how "
        "much it may change."
    ),
    "upscale": (
        "## Enlarge afterwards\n\n"
        "Anonymize first, then enlarge: the second pass draws the detail anew, from somebody else's face. Never "
        "enlarge "
        "before: the detail that an upscaler adds is the person's.\n\n"
        "1. The photo keeps its shape: it is scaled to about a megapixel, then by **scale_by** in *Enlarge*.\n"
        "2. **denoise** 0.15 to 0.3 keeps the face." + FILES
    ),
    "upscale.pocket": (
        "## Enlarge afterwards\n\n" + POCKET + "\n\nThe second pass draws the detail anew, from somebody else's face."
    ),
    "folder": (
        "## A folder of photos\n\n"
        "1. **folder**: one inside ComfyUI's *input* folder. *revpers example* makes itself, of rendered faces.\n"
        "2. **Run**: each photo by itself, into **save_to** in ComfyUI's *output* folder, without metadata.\n"
        "3. The text box names every photo that could not be made, by its number and name, and why; the others are "
        "made. Run again: what is there already is not made again." + JUDGE + LOOK + FILES
    ),
    "folder.pocket": (
        "## A folder of pictures\n\n"
        + POCKET
        + "\n\nThe folder *revpers example* makes itself. Run again: what is there already is not made "
        "again."
    ),
    "0_start_here": (
        "## Start here: from photo to saved photo\n\n"
        "1. **Load Image**: a photo of any size, with any number of people.\n"
        "2. **Load Everything** takes what lies in ComfyUI's folders and fits together, and names what is missing.\n"
        "3. **strength** is how far from the person. The picture on *Anonymize Everyone* numbers the faces: "
        "**numbers** says whose are meant, empty everyone's." + JUDGE + LOOK + FILES
    ),
    "0_start_here.pocket": (
        "## Start here: from picture to saved picture\n\n"
        + POCKET
        + "\n\n*Load Everything* with the pocket model, one box that does it all, and one that saves."
    ),
    "instantid": (
        "## A portrait by InstantID (experimental)\n\n"
        "The largest face of a photo, with InstantID in the place of FaceID: its adapter reads antelopev2's "
        "recogniser, and its ControlNet sees the face's five points (**places**). It does what InstantID's own code "
        "does; how well it anonymizes is not measured: connect a judge.\n\n"
        "**Files**: [InstantX/InstantID](https://huggingface.co/InstantX/InstantID): `ip-adapter.bin` into "
        "`models/ipadapter`, ControlNetModel's file as `instantid_controlnet.safetensors` into `models/controlnet`; "
        "[antelopev2](https://github.com/deepinsight/insightface/releases/tag/v0.7) into "
        "`models/insightface/models`. Non-commercial." + SAVING + LOOK
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
