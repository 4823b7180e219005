"""How Sphinx builds the pages: ``make docs``. Nothing in them is loaded from elsewhere."""

from __future__ import annotations

import hendrix

project = "hendrix"
author = "hendrix contributors"
copyright = "hendrix contributors, MIT licence"
release = version = hendrix.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["*.py"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings: list[str] = []
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"hendrix {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
