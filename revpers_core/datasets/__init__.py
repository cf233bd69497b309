"""Many pictures: folders and their manifest."""
