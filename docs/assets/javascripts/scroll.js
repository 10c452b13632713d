// What is wider than the page is scrolled: tables, equations and figures get the keyboard's focus, so that arrows scroll them.
function focusScrolled() {
  document.querySelectorAll(".md-typeset__scrollwrap, div.equation, .md-typeset p:has(> img:only-child)").forEach(function (element) {
    if (element.scrollWidth > element.clientWidth + 1) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  });
}
window.addEventListener("load", focusScrolled);
window.addEventListener("resize", focusScrolled);
