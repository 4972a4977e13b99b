"""The page of a distributed training: one small file without scripts and without a network connection."""

from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.ranks import ranks_figure, timeline_figure
from epoch_gap.reports.export.json_text import strict_json
from epoch_gap.reports.export.ranks_trace import ranks_trace
from epoch_gap.reports.page.page import TEMPLATES, data_uri, source
from epoch_gap.reports.ranks import RanksView, collective_rows, excess_rows, phase_rows, rank_rows

PAGE, PICTURE, TIMELINE, TRACE = "index.html", "ranks.png", "timeline.png", "trace.json"
FILES = (PAGE, PICTURE, TIMELINE, TRACE)


def render_ranks(view: RanksView) -> dict[str, bytes | None]:
    """The pictures, the trace and the page, by file name; None for one that there is not."""
    picture, timeline = ranks_figure(view), timeline_figure(view)
    page = TEMPLATES.get_template("ranks.html").render(
        view=view,
        picture=data_uri(canvas.svg(picture)),
        timeline=data_uri(canvas.svg(timeline)) if timeline is not None else "",
        by_rank=rank_rows(view),
        by_phase=phase_rows(view),
        collectives=collective_rows(view),
        excess=excess_rows(view),
        css=source("page.css"),
    )
    return {
        PAGE: page.encode(),
        PICTURE: canvas.png(picture),
        TIMELINE: canvas.png(timeline) if timeline is not None else None,
        TRACE: (strict_json(ranks_trace(view)) + "\n").encode(),
    }
