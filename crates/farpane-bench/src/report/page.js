// Shows what a mark stands for beside the pointer, and sorts a table by the column whose head is clicked.
"use strict";
const tip = document.getElementById("tip");
document.addEventListener("pointermove", (event) => {
  const mark = event.target.closest("[data-tip]");
  tip.classList.toggle("on", mark !== null);
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  tip.style.left = `${left}px`;
  tip.style.top = `${Math.max(8, event.clientY - tip.offsetHeight - 10)}px`;
});
for (const head of document.querySelectorAll("thead th")) {
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const value = (row) => row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].textContent;
    const down = head.dataset.down !== "yes";
    head.dataset.down = down ? "yes" : "no";
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      const order = Number.isNaN(Number(x) - Number(y)) ? x.localeCompare(y) : Number(x) - Number(y);
      return down ? order : -order;
    };
    body.append(...[...body.rows].sort(compare));
  });
}
