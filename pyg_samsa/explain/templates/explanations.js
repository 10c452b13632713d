(function () {
  var root = document.documentElement, byId = function (id) { return document.getElementById(id); };
  try { var kept = localStorage.getItem("theme"); if (kept && !root.dataset.theme) root.dataset.theme = kept; } catch (e) {}
  byId("theme").addEventListener("click", function () {
    var dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch (e) {}
  });
  document.querySelectorAll('input[name="method"]').forEach(function (input) {
    if (input.checked) document.body.dataset.method = input.value;
    input.addEventListener("change", function () { document.body.dataset.method = input.value; });
  });
  var grid = byId("grid"), cards = Array.from(grid.children), all = cards.length;
  byId("sort").addEventListener("change", function () {
    var key = this.value.replace("-", ""), sign = this.value[0] === "-" ? -1 : 1;
    cards.sort(function (a, b) {
      var x = a.dataset[key], y = b.dataset[key];
      return (key === "name" ? x.localeCompare(y, undefined, { numeric: true }) : sign * (x - y)) || a.dataset.row - b.dataset.row;
    });
    grid.append.apply(grid, cards);
  });
  byId("search").addEventListener("input", function () {
    var text = this.value.trim().toLowerCase(), seen = 0;
    cards.forEach(function (card) { card.hidden = card.dataset.text.indexOf(text) < 0; seen += card.hidden ? 0 : 1; });
    byId("count").textContent = (text ? seen + " of " : "") + all + (all === 1 ? " molecule" : " molecules");
    byId("none").hidden = seen > 0;
  });
  var dialog = byId("large");
  grid.addEventListener("click", function (event) {
    var picture = event.target.closest(".picture");
    if (!picture) return;
    var card = picture.closest(".card"), sheet = dialog.querySelector(".sheet"), keys = dialog.querySelector(".keys");
    dialog.querySelector("h2").textContent = card.dataset.name;
    sheet.replaceChildren(picture.firstElementChild.cloneNode(true));
    keys.replaceChildren.apply(keys, Array.from(card.querySelectorAll(".legend"), function (legend) { return legend.cloneNode(true); }));
    dialog.showModal();
  });
  dialog.addEventListener("click", function (event) { if (event.target === dialog) dialog.close(); });
})();
