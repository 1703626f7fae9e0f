"""The pages of the viewer. What they show and do is decided elsewhere; here it is laid out."""
