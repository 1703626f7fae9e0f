"""Slides, maps and patients in the browser: a local server, and pages that open by themselves."""
