"""Records on disk: results/<benchmark>/<key>.json and what lies beside them."""
