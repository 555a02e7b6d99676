"""The HTML template of ``dvc plots show`` and ``dvc plots diff``, with its scripts inlined.

Run: ``python -m flows.runtime.plot_page``.

DVC's own template loads Vega from the internet each time a page is opened. ``make install`` writes this template to the
path in ``.dvc/config``, so that plots render on a machine without a network.
"""

from pathlib import Path

from flows.runtime.commands import check_arguments, run_command
from lmcore.runtime.files import atomic_file

PAGE = Path(".venv/share/lmcore/plots.html")
VEGA_LITE_VERSION = "5.21"  # the latest of the major version that DVC writes plots for

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>Plots</title>
<script>%s</script>
<style>body { font-family: sans-serif; margin: 2rem; } table { border-spacing: 15px; }</style>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def write_plot_page(path: Path) -> None:
    """Write the template, including Vega, Vega-Lite and Vega-Embed (1 MB)."""
    import vl_convert

    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE_VERSION)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_text(TEMPLATE % scripts.replace("</script", "<\\/script"), encoding="utf-8")


def main() -> None:
    """The command line."""
    check_arguments("flows.runtime.plot_page", "Write the page that `dvc plots show` needs offline.")
    run_command("plot page", lambda: write_plot_page(PAGE))


if __name__ == "__main__":
    main()
