"""What people are told of a photo in one sentence."""

import torch

from revpers_core.media.photo import PhotoResult, summary

BLANK, EMPTY = torch.zeros(3, 4, 4), torch.zeros(1, 4, 4)


def face(verdict):
    return {"verdict": verdict}


def test_it_counts_who_was_changed_and_who_was_left_and_says_who_looked():
    done = PhotoResult(BLANK, EMPTY, [face("unverified"), face("unverified")], [{}])
    assert summary(done) == "2 faces changed, 1 left alone as asked; nobody has checked (connect Load Judge)"
    looked = [face("unverified: the judge knows rendered faces only"), face("not re-identified by 1 of 1 judges")]
    assert summary(done._replace(faces=looked[:1], kept=[])) == (
        "1 face changed; nobody has checked: the judge knows rendered faces only"
    )
    assert summary(done._replace(faces=looked[1:], kept=[])) == "1 face changed; not re-identified by 1 of 1 judges"


def test_where_nobody_was_found_it_says_what_became_of_the_picture():
    assert summary(PhotoResult(BLANK, EMPTY, [], [])) == "no face was found: the picture is as it was"
    assert summary(PhotoResult(BLANK, torch.ones(1, 4, 4), [], [])) == "no face was found: the picture is blurred whole"
