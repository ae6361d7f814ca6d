"use strict";
// Column headings become buttons that sort; without scripts they stay headings.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
    return typeof a === "number" ? -1 : 1;
  };
  // On a narrow screen each row is a list, in which every cell says what it is.
  const names = headings.map((heading) => heading.textContent.trim());
  for (const row of body.rows) [...row.cells].forEach((cell, n) => { cell.dataset.label = names[n]; });
  table.classList.add("labelled");
  headings.forEach((heading, column) => {
    if (body.rows.length && body.rows[0].cells[column].classList.contains("number")) heading.classList.add("number");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows];
      rows.sort((a, b) => sign * compare(key(a, column), key(b, column)));
      body.append(...rows);
    });
  });
}
