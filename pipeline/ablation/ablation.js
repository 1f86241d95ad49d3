"use strict";
// Draws the charts of an ablation, in the order of their places, in the colours of the page.
const charts = JSON.parse(document.getElementById("data").textContent);
document.querySelectorAll(".chart").forEach((place, i) => {
  const {data, layout} = charts[i];
  const look = {paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: {t: 44, r: 16, b: 44, l: 60}};
  Plotly.newPlot(place, data, {...layout, ...look}, {responsive: true, displaylogo: false});
});
