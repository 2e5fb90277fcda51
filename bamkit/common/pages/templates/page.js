"use strict";
// Tables sort by a click on a heading; the table of contents marks the section being read. All works without this.
for (const table of document.querySelectorAll("main table")) {
  if (table.tBodies[0].rows.length < 4) continue;
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].textContent.trim().replace(/^–$/, "");
      const number = (text) => parseFloat(text.replaceAll(",", "").replace("−", "-"));
      const rows = [...table.tBodies[0].rows];
      const numeric = rows.every((row) => value(row) === "" || !Number.isNaN(number(value(row))));
      const order = (a, b) => {
        if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
        const less = numeric ? number(value(a)) - number(value(b)) : value(a).localeCompare(value(b));
        return down ? -less : less;
      };
      table.tBodies[0].append(...rows.sort(order));
    });
  });
}
if ("IntersectionObserver" in window) {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  const watch = new IntersectionObserver((seen) => {
    for (const entry of seen) {
      if (!entry.isIntersecting) continue;
      links.forEach((link) => link.classList.remove("here"));
      links.get(entry.target.id)?.classList.add("here");
    }
  }, { rootMargin: "0px 0px -70% 0px" });
  document.querySelectorAll("main h2[id]").forEach((heading) => watch.observe(heading));
}
