"""Parts of the report: charts, and the files it is made with."""

import configparser
from pathlib import Path

from paddle_wrn.pages import report as package
from paddle_wrn.pages.report.charts import chart

HOME = Path(package.__file__).parent


def test_a_chart_puts_points_where_they_belong() -> None:
    made = chart({"val": [(0, 0), (5, 0.5), (10, 1)]}, (0, 10), (0, 1), mark=5, y_percent=True)
    left, top, right, bottom = made.box
    middle, height = (left + right) / 2, (top + bottom) / 2
    assert made.lines["val"] == f"{float(left)},{float(bottom)} {middle},{height} {float(right)},{float(top)}"
    assert made.mark == middle
    assert [tick.text for tick in made.x_ticks] == ["0", "2", "4", "6", "8", "10"]
    assert [tick.text for tick in made.y_ticks] == ["0%", "20%", "40%", "60%", "80%", "100%"]


def test_a_chart_of_one_epoch_and_one_of_very_many() -> None:
    assert chart({"val": [(1, 0.3)]}, (0, 1), (0, 1)).lines["val"].count(",") == 1
    long = chart({"val": [(i, 0.3) for i in range(5000)]}, (0, 4999), (0, 1)).lines["val"]
    assert long.count(",") == 300


def test_dots_are_larger_for_more_photos() -> None:
    dots = chart({}, (0, 1), (0, 1), counted={"val": [(0.1, 0.2, 1), (0.9, 0.8, 50)]}).dots["val"]
    assert dots[0].radius < dots[1].radius
    assert dots[1].values == (0.9, 0.8, 50)


def test_templates_and_texts_are_part_of_the_package() -> None:
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    patterns = setup["options.package_data"]["paddle_wrn.pages.report"].split()
    packed = {file for pattern in patterns for file in HOME.glob(pattern)}
    other = {file for file in HOME.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    assert len(other) >= 5
    assert other == packed
    assert any(line.startswith("jinja2") for line in setup["options"]["install_requires"].splitlines())
