// Pages of charts: sections with their contents beside them.

const sum = (values) => values.reduce((a, b) => a + b, 0);
const sorted = (object, by) => Object.entries(object).sort((a, b) => by(b[1]) - by(a[1]) || (a[0] < b[0] ? -1 : 1));
const sections = [];
function section(id, title, note, ...parts) {
  const list = parts.flat().filter(Boolean);
  if (list.length) sections.push([id, title, make("section", {id, "aria-labelledby": id + "-head"},
    make("h2", {id: id + "-head"}, title), note ? make("p", {class: "note"}, note) : null, ...list)]);
}
function showSections(title, facts) {
  document.title = $("title").textContent = title;
  $("facts").textContent = facts;
  $("main").replaceChildren(...sections.map(([, , element]) => element));
  $("nav").setAttribute("aria-label", t("Contents"));
  $("nav").replaceChildren(...sections.map(([id, name]) => make("a", {href: "#" + id}, name)));
}
