"""Sphinx: ``sphinx-build -W --keep-going docs docs/_build/html``, without a network."""

from xpnet import __version__

project = "xpnet"
author = "the xpnet developers"
copyright = "the xpnet developers"
release = version = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
language = "en-gb"

nitpicky = True
# Other projects' symbols: their inventories would need the network.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|matplotlib|numpy|sklearn|typing)\..*")
]

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3

# Types, with shapes, are in the docstrings; the signatures stay short.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "xpnet"
html_static_path = ["_static"]
html_css_files = ["xpnet.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# The sidebar lists the pages below a page, and only api.md has any.
html_sidebars = {"[!a]*": [], "a[!p]*": [], "api*": ["sidebar-nav-bs"]}


def link_reexport(app, env, node, contnode):
    """Find what a docstring calls by its bare name where ``xpnet`` documents it."""
    if node.get("refdomain") != "py":
        return None
    args = (env, node["refdoc"], app.builder, node["reftype"])
    target = f"xpnet.{node['reftarget']}"
    return env.get_domain("py").resolve_xref(*args, target, node, contnode)


def setup(app):
    app.connect("missing-reference", link_reexport)
