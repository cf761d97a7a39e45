"""Records on disk: results/<benchmark>/<key>.json and the files beside them."""
