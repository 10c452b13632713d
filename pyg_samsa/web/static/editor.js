// Called by JSME when it has loaded.
var editor;
function jsmeOnLoad() {
  editor = new JSApplet.JSME("jsme", window.innerWidth + "px", window.innerHeight + "px", { options: "oldlook,star,nocanonize" });
  document.documentElement.dataset.ready = "yes";
}
