"""Blind judgement of label maps by people: what is dealt, the page that deals it, and the votes that come back."""
