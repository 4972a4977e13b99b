"use strict";
// Shows the variant of each chart that its controls select. All numbers and texts are in the data; see
// reports/charts/live.py.
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const config = {
    displaylogo: false,
    responsive: true,
    modeBarButtonsToRemove: ["toImage", "select2d", "lasso2d", "autoScale2d"],
  };

  function themed(value, style) {
    if (typeof value === "string") {
      const name = /^var\((--[a-z]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => themed(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item, style)]));
  }

  const axis = { gridcolor: "var(--line)", linecolor: "var(--muted)", tickcolor: "var(--muted)" };
  const template = {
    layout: {
      font: { family: "system-ui, sans-serif", size: 12, color: "var(--ink)" },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: "var(--paper)", bordercolor: "var(--muted)", font: { color: "var(--ink)" } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "var(--muted)", activecolor: "var(--ink)" },
      xaxis: axis,
      yaxis: axis,
    },
  };

  function draw(figure) {
    const chart = charts[figure.dataset.chart];
    const chosen = [...figure.querySelectorAll("[data-choice]")]
      .map((group) => group.querySelector("input:checked, select").value);
    const off = new Set([...figure.querySelectorAll("[data-switch]:not(:checked)")].map((box) => box.value));
    const variant = chart.variants[chosen.join("|")];
    const style = getComputedStyle(document.documentElement);
    const data = themed(variant.data, style).map((trace) => ({
      ...trace,
      visible: !(off.has(trace.name) || (trace.meta === "whole" && off.size > 0)),
    }));
    const layout = themed({ ...variant.layout, template }, style);
    figure.classList.add("drawn");
    return Plotly.react(figure.querySelector(".live"), data, layout, config);
  }

  function prepare(figure) {
    figure.querySelector(".controls").hidden = false;
    figure.addEventListener("change", () => draw(figure));
    draw(figure);
  }

  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      near.unobserve(entry.target);
      prepare(entry.target);
    }),
    { rootMargin: "400px" },
  );
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  figures.forEach((figure) => near.observe(figure));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    figures.filter((figure) => figure.classList.contains("drawn")).forEach(draw);
  });
})();
