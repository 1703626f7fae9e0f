"""One method in depth: what a reviewer and a hospital ask of its answers to one target."""

from histodistill.report.depth.section import DepthSection, depth_section

__all__ = ["DepthSection", "depth_section"]
