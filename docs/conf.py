"""How the site is built: ``make docs``.

Sphinx, not MkDocs: autodoc reads the objects that are imported, so what the site says of the
API is what the package has; furo needs nothing from elsewhere, so that a build is offline.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import faultsim  # noqa: E402

project, author, copyright = "faultsim", "The faultsim authors", "the faultsim authors"
version = release = faultsim.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "commands",
    "records",
    "pictures",
    "notebooks",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext"]

nitpicky = False  # annotations name torch's and NumPy's types, whose inventories are not here
autodoc_typehints = "none"  # signatures have them
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_use_ivar = True
python_use_unqualified_type_names = True
toc_object_entries = False

html_theme = "furo"
html_title = "faultsim"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": False}
html_show_sphinx = False
pygments_style, pygments_dark_style = "friendly", "github-dark"
