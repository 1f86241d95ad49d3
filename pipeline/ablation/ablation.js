// The page of an ablation: what may be concluded, intervals and loss curves, tables.

const texts = () => PAGE.texts[LANG] || PAGE.texts.en;
const SHADES = {better: "kept", worse: "lost", open: "grey"};

function intervals({measure, rows}) { // differences of one measure; a chart for each, since their units differ
  const names = rows.map((row) => escapeText(row.name)).reverse(), turned = [...rows].reverse();
  const label = `${measure}, ${texts().better[measure]}`;
  return chart(label, () => ({
    data: [{type: "scatter", mode: "markers", x: turned.map((row) => row.mean), y: names, marker: {size: 9, color: turned.map((row) => color(SHADES[row.verdict]))},
      error_x: {type: "data", symmetric: false, array: turned.map((row) => row.high - row.mean), arrayminus: turned.map((row) => row.mean - row.low), thickness: 2, color: color("soft")},
      text: turned.map((row) => texts().marks[row.verdict]), hovertemplate: "%{x:+.4f}<br>%{text}<extra></extra>"}],
    layout: {title: {text: escapeText(label), font: {size: 13}, x: 0.02, xanchor: "left"}, height: 130 + 34 * rows.length, margin: {l: 8, r: 16, t: 44, b: 44},
      xaxis: {title: {text: t("difference from the baseline")}, zeroline: true, zerolinewidth: 2, zerolinecolor: color("ink")}}}));
}
function curves({size, corpora}) { // loss over tokens at one size: the mean over seeds, and their range
  return chart(t("Loss over tokens, size {size}", {size}), () => ({
    data: corpora.flatMap((c, i) => {
      const band = {x: c.tokens, line: {width: 0}, hoverinfo: "skip", showlegend: false, legendgroup: c.name, mode: "lines"};
      return [{...band, y: c.most}, {...band, y: c.least, fill: "tonexty", fillcolor: palette(i) + "33"},
        {x: c.tokens, y: c.mean, name: escapeText(c.name), legendgroup: c.name, mode: "lines", line: {color: palette(i), width: 2}, hovertemplate: "%{x:,}: %{y:.4f}<extra>%{fullData.name}</extra>"}];
    }),
    layout: {height: 380, margin: {l: 56, r: 12, t: 50, b: 44}, title: {text: escapeText(t("size {size}", {size})), font: {size: 13}, x: 0.02, xanchor: "left"},
      xaxis: {title: {text: t("tokens")}}, yaxis: {title: {text: t("nats a token")}}}}));
}

function render() {
  sections.length = 0;
  const said = texts(), list = (lines) => make("ul", {}, ...lines.map((text) => make("li", {}, text)));
  section("found", t("What was found"), "", list(said.sentences));
  section("intervals", t("Intervals"), "", PAGE.intervals.map(intervals));
  section("loss", t("Loss in training"), "", PAGE.curves.map(curves));
  said.tables.forEach(({heading, heads, rows}, i) => section("table-" + i, heading, "", table(heads, rows)));
  section("training", t("Training"), "", list(said.training));
  showSections(said.title, t("bicorpus {version}", {version: PAGE.version}));
}
switches(render);
